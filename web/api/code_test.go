package api_test

import (
	"net/http"
	"testing"

	"keywatch/web/api"
)

// Codes are promised for ever: a client that was written today must find the
// same status and the same advice in every later version.
func TestCodesStay(t *testing.T) {
	for code, want := range map[api.Code][2]int{
		"bad_request": {400, 3500}, "bad_key": {400, 3500}, "bad_parameter": {400, 3500}, "bad_condition": {400, 3500},
		"bad_json": {400, 3500}, "bad_value": {400, 3500}, "bad_duration": {400, 3500}, "bad_position": {400, 3500},
		"duplicate_key": {400, 3500}, "prefix_required": {400, 3500}, "origin_not_allowed": {403, 3503},
		"reserved_key": {403, 3503}, "key_not_found": {404, 3504}, "no_route": {404, 3504}, "method_not_allowed": {405, 3505},
		"not_acceptable": {406, 3506}, "request_timeout": {408, 3508}, "lease_ended": {409, 3509}, "compare_failed": {412, 3512},
		"check_failed": {412, 3512}, "fence_lost": {412, 3512}, "value_too_large": {413, 3513}, "body_too_large": {413, 3513},
		"batch_too_large": {413, 3513}, "encoding_not_supported": {415, 3515}, "host_not_allowed": {421, 3521},
		"idempotency_mismatch": {422, 3522}, "rate_limited": {429, 3029}, "too_many_watches": {429, 3029},
		"too_many_connections": {429, 3029}, "head_too_large": {431, 3531}, "internal": {500, 3100}, "data_damaged": {500, 3100},
		"queue_full": {503, 3103}, "no_leader": {503, 3103}, "starting": {503, 3103}, "stopping": {503, 1012},
		"memory_full": {503, 3103}, "tier_unavailable": {503, 3103}, "outcome_unknown": {504, 3104},
	} {
		if got := [2]int{code.Status(), code.WebSocketClose()}; got != want {
			t.Errorf("%s: got %v, want %v", code, got, want)
		}
		if comeBack := want[1] < 3500; code.ComeBack() != comeBack {
			t.Errorf("%s: ComeBack is %v", code, code.ComeBack())
		}
	}
	if got := api.Code("nonsense").Status(); got != 500 {
		t.Errorf("an unknown code has status %d", got)
	}
}

// A status without its name, or under another one, would confuse the reader of a
// problem.
func TestTitles(t *testing.T) {
	for _, code := range api.Codes() {
		if got, want := code.Title(), http.StatusText(code.Status()); got != want {
			t.Errorf("%s: got %q, want %q", code, got, want)
		}
	}
}
