package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

const (
	nameConsulPut = "consul PUT"
	nameConsulGet = "consul GET, consistent"
)

// startConsul measures the key-value store of one Consul server over its HTTP API, with its
// default durability: a write is in a log on disk.
func startConsul(c config, dir string) ([]contender, func(), error) {
	program, err := exec.LookPath("consul")
	if err != nil {
		return nil, nil, err
	}
	addr, args, err := consulArgs(dir)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(program, args...)
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	url := "http://" + addr
	err = awaitLeader(url)
	if err == nil {
		err = fillConsul(c, url)
	}
	if err != nil {
		end(cmd)
		return nil, nil, err
	}
	run := func(kind string) func() (float64, error) {
		return func() (float64, error) { return wrk(c, url, dir, kind, c.seconds) }
	}
	return []contender{{nameConsulPut, "/s", run("put")}, {nameConsulGet, "/s", run("consulget")}}, func() { end(cmd) }, nil
}

// consulArgs returns where a server of its own listens for HTTP, and its arguments.
func consulArgs(dir string) (addr string, args []string, err error) {
	var ports []int
	for range 3 {
		free, err := freeAddr()
		if err != nil {
			return "", nil, err
		}
		_, port, _ := net.SplitHostPort(free)
		n, err := strconv.Atoi(port)
		if err != nil {
			return "", nil, err
		}
		addr, ports = free, append(ports, n)
	}
	conf, err := json.Marshal(map[string]any{
		"server": true, "bootstrap_expect": 1, "data_dir": filepath.Join(dir, "consul"), "log_level": "error",
		"bind_addr": "127.0.0.1", "client_addr": "127.0.0.1", "disable_update_check": true,
		"ports": map[string]int{"server": ports[0], "serf_lan": ports[1], "http": ports[2], "serf_wan": -1, "dns": -1, "grpc": -1, "grpc_tls": -1},
	})
	if err != nil {
		return "", nil, err
	}
	file := filepath.Join(dir, "consul.json")
	return addr, []string{"agent", "-config-file", file}, os.WriteFile(file, conf, 0o600)
}

// awaitLeader waits until a write can succeed.
func awaitLeader(url string) error {
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if leads(url) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("consul at %s has no leader", url)
		}
	}
}

func leads(url string) bool {
	resp, err := http.Get(url + "/v1/status/leader")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK && len(body) > len(`""`)+1
}

// consulTxnMax is how many operations Consul allows in a transaction.
const consulTxnMax = 64

// fillConsul writes every key that GET asks for.
func fillConsul(c config, url string) error {
	type set struct{ Verb, Key, Value string }
	value := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), c.size))
	var ops []map[string]set
	for k := 1; k <= c.keys; k++ {
		ops = append(ops, map[string]set{"KV": {"set", fmt.Sprintf("bench/%d", k), value}})
		if len(ops) < consulTxnMax && k < c.keys {
			continue
		}
		body, err := json.Marshal(ops)
		if err != nil {
			return err
		}
		if err := put(url+"/v1/txn", body); err != nil {
			return err
		}
		ops = ops[:0]
	}
	return nil
}

func put(url string, body []byte) error {
	req, err := http.NewRequest(http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("PUT %s: %s: %.200s", url, resp.Status, answer)
	}
	return err
}
