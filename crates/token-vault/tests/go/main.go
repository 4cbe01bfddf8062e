// Runs regular expressions over texts, by the engine of gitleaks and trufflehog.
//
// Usage: main QUESTION
//
// QUESTION is {"regexes": {NAME: EXPRESSION}, "texts": [TEXT]}. Prints for each text, in their order, what the first
// group of each expression matched in it: [{NAME: [MATCH]}].
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	input, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var question struct {
		Regexes map[string]string
		Texts   []string
	}
	if err := json.Unmarshal(input, &question); err != nil {
		return err
	}
	compiled := map[string]*regexp.Regexp{}
	for name, text := range question.Regexes {
		if compiled[name], err = regexp.Compile(text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	answers := []map[string][]string{}
	for _, text := range question.Texts {
		answer := map[string][]string{}
		for name, expression := range compiled {
			for _, match := range expression.FindAllStringSubmatch(text, -1) {
				answer[name] = append(answer[name], match[1])
			}
		}
		answers = append(answers, answer)
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}
