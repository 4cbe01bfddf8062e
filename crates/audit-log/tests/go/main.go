// A second opinion on published proofs, by the packages of Go's checksum database: golang.org/x/mod/sumdb/note and
// golang.org/x/mod/sumdb/tlog. It recomputes everything from the entries and believes no tile; tlog.TileHashReader is
// not used, as versions before 0.40 do not authenticate every tile they read.
//
// Usage: main PROOFS VKEY CLAIMS
//
// PROOFS is a directory with trees at epochs and tenants/*; CLAIMS holds *.tlog-proof, *.epoch-proof each beside the
// receipt it is about, and consistency with a proof in each line: FOLDER OLD-SIZE OLD-ROOT HASH…
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type storage []tlog.Hash

func (s storage) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, index := range indexes {
		hashes = append(hashes, s[index])
	}
	return hashes, nil
}

type head struct {
	origin string
	size   int64
	root   tlog.Hash
}

func check(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func fail(format string, values ...interface{}) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	os.Exit(1)
}

// The log's key, as NAME+ID+KEY.
type logKey struct {
	name string
	key  []byte
}

func parseKey(text string) logKey {
	_, err := note.NewVerifier(text)
	check(err, "key")
	parts := strings.SplitN(text, "+", 3)
	key, err := base64.StdEncoding.DecodeString(parts[2])
	check(err, "key")
	return logKey{parts[0], key}
}

// Each tree is signed for in its own name: its origin, which begins with that of the log's key.
func (k logKey) forTree(origin string) note.Verifier {
	if !strings.HasPrefix(origin, k.name+"/") {
		fail("%q is of another log", origin)
	}
	id := sha256.Sum256(append([]byte(origin+"\n"), k.key...))
	text := fmt.Sprintf("%s+%08x+%s", origin, id[:4], base64.StdEncoding.EncodeToString(k.key))
	verifier, err := note.NewVerifier(text)
	check(err, origin)
	return verifier
}

func openHead(message []byte, key logKey, what string) head {
	origin := strings.SplitN(string(message), "\n", 2)[0]
	opened, err := note.Open(message, note.VerifierList(key.forTree(origin)))
	check(err, what)
	if len(opened.Sigs) != 1 || len(opened.UnverifiedSigs) != 0 || opened.Sigs[0].Name != origin {
		fail("%s: signed in another name", what)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		fail("%s: not three lines: %q", what, opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err, what)
	root, err := tlog.ParseHash(lines[2])
	check(err, what)
	return head{lines[0], size, root}
}

// The file of a tile: as x/mod names it, without the height.
func tilePath(tile tlog.Tile) string {
	return "tile/" + strings.TrimPrefix(tile.Path(), "tile/8/")
}

func readBundle(path string, width int) [][]byte {
	data, err := os.ReadFile(path)
	check(err, path)
	var entries [][]byte
	for len(data) > 0 {
		if len(data) < 2 {
			fail("%s: cut off", path)
		}
		length := int(binary.BigEndian.Uint16(data))
		if len(data) < 2+length {
			fail("%s: cut off", path)
		}
		entries = append(entries, data[2:2+length])
		data = data[2+length:]
	}
	if len(entries) != width {
		fail("%s: %d entries, not %d", path, len(entries), width)
	}
	return entries
}

// Every entry and every tile of a tree, by recomputation.
func checkTree(folder string, key logKey) (head, storage) {
	message, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	check(err, folder)
	tree := openHead(message, key, folder)
	var hashes storage
	for first := int64(0); first < tree.size; first += 256 {
		width := tree.size - first
		if width > 256 {
			width = 256
		}
		tile := tlog.Tile{H: 8, L: 0, N: first / 256, W: int(width)}
		path := "tile/entries/" + strings.TrimPrefix(tilePath(tile), "tile/0/")
		for i, entry := range readBundle(filepath.Join(folder, path), int(width)) {
			more, err := tlog.StoredHashes(first+int64(i), entry, hashes)
			check(err, path)
			hashes = append(hashes, more...)
		}
	}
	root, err := tlog.TreeHash(tree.size, hashes)
	check(err, folder)
	if root != tree.root {
		fail("%s: the entries do not make up the root", folder)
	}
	tiles := 0
	for _, tile := range tlog.NewTiles(8, 0, tree.size) {
		// Some versions name partial tiles of every width on the way to this size.
		if last := tree.size >> (8 * uint(tile.L)); tile.W != 256 && tile.N*256+int64(tile.W) != last {
			continue
		}
		expected, err := tlog.ReadTileData(tile, hashes)
		check(err, folder)
		data, err := os.ReadFile(filepath.Join(folder, tilePath(tile)))
		check(err, folder)
		if !bytes.Equal(data, expected) {
			fail("%s: %s is not what the entries make it", folder, tilePath(tile))
		}
		tiles++
	}
	fmt.Printf("tree %s %d %d\n", tree.origin, tree.size, tiles)
	return tree, hashes
}

func parseHashes(texts []string, what string) []tlog.Hash {
	var hashes []tlog.Hash
	for _, text := range texts {
		hash, err := tlog.ParseHash(text)
		check(err, what)
		hashes = append(hashes, hash)
	}
	return hashes
}

// Returns the leaf, and the head of the tree in which it is.
func checkReceipt(path, text string, key logKey) ([]byte, head) {
	parts := strings.SplitN(text, "\n\n", 2)
	lines := strings.Split(parts[0], "\n")
	if len(parts) != 2 || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		fail("%s: not a tlog-proof", path)
	}
	leaf, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra "))
	check(err, path)
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64)
	check(err, path)
	proof := tlog.RecordProof(parseHashes(lines[3:], path))
	tree := openHead([]byte(parts[1]), key, path)
	check(tlog.CheckRecord(proof, tree.size, tree.root, index, tlog.RecordHash(leaf)), path)
	return leaf, tree
}

func read(path string) string {
	text, err := os.ReadFile(path)
	check(err, path)
	return string(text)
}

// An epoch has the head of the receipt beside it, at the place that the proof says.
func checkBound(path string, key logKey) {
	_, tree := checkReceipt(path, read(strings.TrimSuffix(path, ".epoch-proof")+".tlog-proof"), key)
	parts := strings.SplitN(read(path), "\n\n", 2)
	lines := strings.Split(parts[0], "\n")
	if len(parts) != 2 || len(lines) < 2 || lines[0] != "palisade audit-log epoch-proof 1" {
		fail("%s: not an epoch proof", path)
	}
	slot, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "slot "), 10, 64)
	check(err, path)
	proof := tlog.RecordProof(parseHashes(lines[2:], path))
	leaf, epochs := checkReceipt(path, parts[1], key)
	if !strings.HasSuffix(epochs.origin, "/epochs") || !strings.Contains(tree.origin, "/tenants") {
		fail("%s: %s and %s", path, tree.origin, epochs.origin)
	}
	var epoch struct {
		Record struct {
			Kind    string
			Tenants int64
			Heads   string
		}
	}
	check(json.Unmarshal(leaf, &epoch), path)
	heads, err := tlog.ParseHash(epoch.Record.Heads)
	check(err, path)
	bound := tlog.RecordHash([]byte(fmt.Sprintf("%s\n%d\n%s\n", tree.origin, tree.size, tree.root)))
	if epoch.Record.Kind != "epoch" {
		fail("%s: no epoch", path)
	}
	check(tlog.CheckRecord(proof, epoch.Record.Tenants, heads, slot, bound), path)
}

func main() {
	if len(os.Args) != 4 {
		fail("usage: main PROOFS VKEY CLAIMS")
	}
	proofs, claims := os.Args[1], os.Args[3]
	key := parseKey(os.Args[2])
	folders, err := filepath.Glob(filepath.Join(proofs, "tenants", "*"))
	check(err, proofs)
	trees := make(map[string]head)
	for _, folder := range append(folders, filepath.Join(proofs, "epochs")) {
		tree, hashes := checkTree(folder, key)
		name, _ := filepath.Rel(proofs, folder)
		trees[name] = tree
		for index := int64(0); index < tree.size; index += 97 {
			proof, err := tlog.ProveRecord(tree.size, index, hashes)
			check(err, folder)
			check(tlog.CheckRecord(proof, tree.size, tree.root, index, hashes[tlog.StoredHashIndex(0, index)]), folder)
		}
	}
	receipts, err := filepath.Glob(filepath.Join(claims, "*.tlog-proof"))
	check(err, claims)
	for _, path := range receipts {
		checkReceipt(path, read(path), key)
	}
	fmt.Printf("receipts %d\n", len(receipts))
	bound, err := filepath.Glob(filepath.Join(claims, "*.epoch-proof"))
	check(err, claims)
	for _, path := range bound {
		checkBound(path, key)
	}
	fmt.Printf("bound %d\n", len(bound))
	text, err := os.ReadFile(filepath.Join(claims, "consistency"))
	check(err, claims)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for _, line := range lines {
		fields := strings.Fields(line)
		size, err := strconv.ParseInt(fields[1], 10, 64)
		check(err, line)
		root, err := tlog.ParseHash(fields[2])
		check(err, line)
		proof := tlog.TreeProof(parseHashes(fields[3:], line))
		tree := trees[fields[0]]
		check(tlog.CheckTree(proof, tree.size, tree.root, size, root), line)
	}
	fmt.Printf("consistent %d\n", len(lines))
}
