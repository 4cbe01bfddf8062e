//! Which inventories are built, and which routes get a layer.

use audit_log::Class;
use audit_log_tower::{Inventory, InventoryError, RouteName, TrustedProxies};
use http::Method;

use crate::support::{World, inventory};

#[test]
fn mutating_routes_without_a_class_are_named_all_at_once() {
    let action: audit_log::Action = "keys:write".parse().unwrap();
    let error = Inventory::builder()
        .recorded(&Method::POST, "/a", Class::Change, action.clone())
        .open(&Method::POST, "/b")
        .refusals(&Method::DELETE, "/c/{id}", action)
        .open(&Method::from_bytes(b"PURGE").unwrap(), "/d")
        .open(&Method::GET, "/healthz")
        .build()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "mutating routes without an audit class: POST /b, DELETE /c/{id}, PURGE /d"
    );
}

#[test]
fn a_change_is_no_read() {
    let action: audit_log::Action = "keys:write".parse().unwrap();
    let error = Inventory::builder().recorded(&Method::PUT, "/a", Class::Read, action).build();
    assert!(matches!(error, Err(InventoryError::Misclassified { .. })));
}

#[test]
fn a_route_has_one_treatment() {
    let error = Inventory::builder().open(&Method::GET, "/a").open(&Method::GET, "/a").build();
    let routes = vec![RouteName::new(&Method::GET, "/a")];
    assert_eq!(error, Err(InventoryError::Twice { routes }));
}

#[test]
fn a_route_that_is_not_in_the_inventory_gets_no_layer() {
    let world = World::new();
    let error = world.audit.layer(&Method::POST, "/other").unwrap_err();
    assert_eq!(error.to_string(), "routes that are not in the inventory: POST /other");
    assert!(world.audit.layer(&Method::PUT, "/keys").is_err());
}

#[test]
fn routes_without_their_layer_are_named_before_serving() {
    let world = World::new();
    let _ = world.service(&Method::POST);
    let error = world.audit.ensure_complete().unwrap_err();
    assert_eq!(error.to_string(), "routes without their audit layer: DELETE /keys/{id}, GET /keys");
    let _ = world.service(&Method::GET);
    let _ = world.service(&Method::DELETE);
    assert_eq!(world.audit.ensure_complete(), Ok(()));
}

#[test]
fn what_a_router_serves_is_compared_with_the_inventory() {
    let inventory = inventory();
    assert_eq!(inventory.covers([(&Method::GET, "/keys"), (&Method::POST, "/keys/{id}")]), Ok(()));
    let error = inventory.covers([(&Method::GET, "/keys"), (&Method::PUT, "/keys")]).unwrap_err();
    assert_eq!(error, InventoryError::Unknown { routes: vec![RouteName::new(&Method::PUT, "/keys")] });
}

#[test]
fn networks_have_one_spelling() {
    for good in ["10.0.0.0/8", "0.0.0.0/0", "192.0.2.1", "192.0.2.1/32", "::/0", "2001:db8::/32", "::1"] {
        assert!(TrustedProxies::parse([good]).is_ok(), "{good}");
    }
    for bad in [
        "",
        "10.0.0.0/",
        "10.0.0.0/08",
        "10.0.0.0/33",
        "10.0.0.1/8",
        "10.0.0.0/+8",
        "x/8",
        "::1/64",
        "::/129",
    ] {
        assert!(TrustedProxies::parse([bad]).is_err(), "{bad}");
    }
}
