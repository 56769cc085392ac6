package web_test

import "testing"

// Without these answers no client could store, find or remove a key.
func TestKeyLife(t *testing.T) {
	w := newWorld(t)
	put := w.want(201, "PUT", "/v1/kv/sensors/1", "21.5")
	if got, want := put.body, `{"rev":1,"version":1,"created":true}`; got != want {
		t.Errorf("put: got %s, want %s", got, want)
	}
	for name, want := range map[string]string{
		"ETag": `"7f3a9c21-1"`, "Keywatch-Position": "7f3a9c21-1", "Keywatch-Durability": "memory; copies=1/1",
		"Cache-Control": "no-store", "Vary": "Accept, Origin", "X-Content-Type-Options": "nosniff",
		"Content-Type": "application/json",
	} {
		if got := put.header.Get(name); got != want {
			t.Errorf("put: %s is %q, want %q", name, got, want)
		}
	}
	get := w.want(200, "GET", "/v1/kv/sensors/1", "")
	if get.body != "21.5" {
		t.Errorf("get: got %q, want 21.5", get.body)
	}
	for name, want := range map[string]string{
		"ETag": `"7f3a9c21-1"`, "Keywatch-Position": "7f3a9c21-1", "Keywatch-Version": "1",
		"Keywatch-Create-Rev": "1", "Keywatch-Tier": "memory", "Content-Type": "application/octet-stream",
		"Content-Security-Policy": "sandbox", "Keywatch-TTL": "", "Content-Length": "4",
	} {
		if got := get.header.Get(name); got != want {
			t.Errorf("get: %s is %q, want %q", name, got, want)
		}
	}
	w.want(200, "PUT", "/v1/kv/sensors/1", "22")
	asJSON := w.want(200, "GET", "/v1/kv/sensors/1", "", "Accept", "application/json")
	if got, want := asJSON.body, `{"key":"sensors/1","value":"22","rev":2,"create_rev":1,"version":2,"tier":"memory"}`; got != want {
		t.Errorf("JSON: got %s, want %s", got, want)
	}
	head := w.want(200, "HEAD", "/v1/kv/sensors/1", "")
	if head.body != "" || head.header.Get("Content-Length") != "2" || head.header.Get("ETag") != `"7f3a9c21-2"` {
		t.Errorf("HEAD: got %q %v", head.body, head.header)
	}
	w.want(204, "DELETE", "/v1/kv/sensors/1", "")
	w.refused(404, "key_not_found", "DELETE", "/v1/kv/sensors/1", "")
	gone := w.refused(404, "key_not_found", "GET", "/v1/kv/sensors/1", "")
	if got := gone.header.Get("Keywatch-Position"); got != "7f3a9c21-3" {
		t.Errorf("404: position is %q", got)
	}
}
