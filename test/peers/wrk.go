package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// scripts are what wrk sends, by kind of load. Each thread walks the keys in
// random order with its own seed.
var scripts = map[string]string{
	"get":       `request = function() return wrk.format("GET", "/v1/kv/bench/" .. math.random(KEYS)) end`,
	"consulget": `request = function() return wrk.format("GET", "/v1/kv/bench/" .. math.random(KEYS) .. "?raw&consistent") end`,
	"put":       `request = function() return wrk.format("PUT", "/v1/kv/bench/" .. math.random(KEYS), nil, VALUE) end`,
	"batch": `
request = function()
  local ops = {}
  local from = math.random(KEYS)
  for i = 1, 100 do
    ops[i] = '{"op":"put","key":"bench/' .. ((from + i * 7) % KEYS + 1) .. '","value":"' .. VALUE .. '"}'
  end
  return wrk.format("POST", "/v1/batch", nil, '{"ops":[' .. table.concat(ops, ",") .. ']}')
end`,
	"batch512": `
request = function()
  local ops = {}
  local from = math.random(KEYS)
  for i = 1, 512 do
    ops[i] = '{"op":"put","key":"bench/' .. ((from + i * 7) % KEYS + 1) .. '","value":"' .. VALUE .. '"}'
  end
  return wrk.format("POST", "/v1/batch", nil, '{"ops":[' .. table.concat(ops, ",") .. ']}')
end`,
	// Each of the two threads begins in another half of the keys.
	"fill": `
local at = 0
request = function()
  local ops = {}
  for i = 1, 512 do
    ops[i] = '{"op":"put","key":"bench/' .. ((at + i + id * KEYS / 2) % KEYS + 1) .. '","value":"' .. VALUE .. '"}'
  end
  at = at + 512
  return wrk.format("POST", "/v1/batch", nil, '{"ops":[' .. table.concat(ops, ",") .. ']}')
end`,
}

const scriptHead = `
local threads = 0
function setup(thread) threads = threads + 1; thread:set("id", threads) end
function init(args) math.randomseed(id * 7919) end
local KEYS, VALUE = %d, string.rep("x", %d)
`

var (
	rateLine = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	badLine  = regexp.MustCompile(`(Non-2xx or 3xx responses|Socket errors).*`)
)

// wrk runs one load and returns requests per second. Any answer that is not a
// success is an error. Headers are lines of each request.
func wrk(c config, url, dir, kind string, seconds int, headers ...string) (float64, error) {
	file := filepath.Join(dir, kind+".lua")
	script := fmt.Sprintf(scriptHead, c.keys, c.size) + scripts[kind]
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return 0, err
	}
	args := []string{"-t", "2", "-c", strconv.Itoa(c.conns), "-d", strconv.Itoa(seconds) + "s", "-s", file}
	for _, header := range headers {
		args = append(args, "-H", header)
	}
	out, err := exec.Command("wrk", append(args, url)...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("wrk: %w: %s", err, out)
	}
	if bad := badLine.Find(out); bad != nil && kind != "get" && kind != "consulget" {
		return 0, fmt.Errorf("wrk: %s", bad)
	}
	m := rateLine.FindSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("wrk printed no rate: %s", strings.TrimSpace(string(out)))
	}
	return strconv.ParseFloat(string(m[1]), 64)
}
