package main

import (
	"bufio"
	_ "embed"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A rival is a server that watchers connect to: how it is started, and how the
// load is aimed at it. aim is added to the load's arguments.
type rival struct {
	name  string
	start func(c config, dir string) (aim []string, stop func(), err error)
}

var (
	keywatchSSE = rival{"keywatch SSE", startWatched("sse")}
	keywatchWS  = rival{"keywatch WebSocket", startWatched("ws")}
	nchanSSE    = rival{"nginx nchan SSE", startNchan("eventsource")}
	nchanWS     = rival{"nginx nchan WebSocket", startNchan("websocket")}
	bareC       = rival{"bare C send loop", startFloor}

	centrifugoSSE = rival{"Centrifugo SSE", startCentrifugo("sse")}
	centrifugoWS  = rival{"Centrifugo WebSocket", startCentrifugo("ws")}
)

// startWatched starts keywatch in memory.
func startWatched(transport string) func(config, string) ([]string, func(), error) {
	return func(c config, _ string) ([]string, func(), error) {
		cmd := exec.Command(c.keywatch, "serve", "--listen", "127.0.0.1:0", "--max-watches", "1200000", "--memory-only")
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			return nil, nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, nil, err
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			end(cmd)
			return nil, nil, fmt.Errorf("keywatch did not start: %w", err)
		}
		url := strings.Fields(line)[1]
		return []string{"--server", url, "--transport", transport}, func() { end(cmd) }, nil
	}
}

const nchanConf = `
load_module %[3]s;
daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid %[1]s/pid; error_log stderr crit;
events { worker_connections 19900; }
http {
  access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f;
  uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s; keepalive_requests 1000000; nchan_shared_memory_size 128M;
  server {
    listen %[2]s backlog=4096;
    location ~ ^/sub/(.+)$ { nchan_subscriber %[4]s; nchan_channel_id $1; nchan_subscriber_first_message newest; }
    location ~ ^/pub/(.+)$ { nchan_publisher; nchan_channel_id $1; nchan_message_buffer_length 1000; nchan_message_timeout 1m; }
  }
}`

// nchanModule is where Debian keeps it.
const nchanModule = "/usr/lib/nginx/modules/ngx_nchan_module.so"

func startNchan(kind string) func(config, string) ([]string, func(), error) {
	return func(_ config, dir string) ([]string, func(), error) {
		if _, err := os.Stat(nchanModule); err != nil {
			return nil, nil, fmt.Errorf("nchan (apt-get install nginx libnginx-mod-nchan): %w", err)
		}
		addr, err := freeAddr()
		if err != nil {
			return nil, nil, err
		}
		file := filepath.Join(dir, kind+".conf")
		if err := os.WriteFile(file, fmt.Appendf(nil, nchanConf, dir, addr, nchanModule, kind), 0o600); err != nil {
			return nil, nil, err
		}
		transport := map[string]string{"eventsource": "sse", "websocket": "ws"}[kind]
		return startForeign(exec.Command("/usr/sbin/nginx", "-p", dir, "-e", "stderr", "-c", file), addr, transport)
	}
}

// centrifugoConf lets anyone connect and publish, over its unidirectional transports, which
// need no command from a client. Channels keep no history, as is its default.
const centrifugoConf = `{
  "http_server": {"address": "127.0.0.1", "port": %q},
  "client": {"insecure": true, "allowed_origins": ["*"]},
  "http_api": {"insecure": true},
  "uni_sse": {"enabled": true},
  "uni_websocket": {"enabled": true},
  "log": {"level": "error"}
}`

// centrifugoPaths are where watchers of each transport connect.
var centrifugoPaths = map[string]string{"sse": "uni_sse", "ws": "uni_websocket"}

func startCentrifugo(transport string) func(config, string) ([]string, func(), error) {
	return func(_ config, dir string) ([]string, func(), error) {
		program, err := exec.LookPath("centrifugo")
		if err != nil {
			return nil, nil, fmt.Errorf("centrifugo (go install github.com/centrifugal/centrifugo/v6@latest): %w", err)
		}
		addr, err := freeAddr()
		if err != nil {
			return nil, nil, err
		}
		_, port, _ := net.SplitHostPort(addr)
		file := filepath.Join(dir, "centrifugo.json")
		if err := os.WriteFile(file, fmt.Appendf(nil, centrifugoConf, port), 0o600); err != nil {
			return nil, nil, err
		}
		stop, err := runForeign(exec.Command(program, "-c", file), addr)
		if err != nil {
			return nil, nil, err
		}
		// The subscription is JSON in the query, {"subs":{"CHANNEL":{}}}; the braces around
		// key are for the load to fill in.
		connect := strings.ReplaceAll(url.QueryEscape(`{"subs":{"KEY":{}}}`), "KEY", "{key}")
		aim := []string{
			"--sub-url", fmt.Sprintf("http://%s/connection/%s?cf_connect=%s", addr, centrifugoPaths[transport], connect),
			"--pub-url", "http://" + addr + "/api/publish", "--pub-body", `{"channel":"{key}","data":"{value}"}`,
			"--prefix", "bench-", "--transport", transport,
		}
		return aim, stop, nil
	}
}

//go:embed floor/floor.c
var floorSource []byte

// startFloor starts the bare send loop.
func startFloor(_ config, dir string) ([]string, func(), error) {
	cmd, aim, err := launchFloor(dir)
	if err != nil {
		return nil, nil, err
	}
	return aim, func() { end(cmd) }, nil
}

// launchFloor compiles the bare send loop and starts it.
func launchFloor(dir string) (cmd *exec.Cmd, aim []string, err error) {
	source, program := filepath.Join(dir, "floor.c"), filepath.Join(dir, "floor")
	if _, err := os.Stat(program); err != nil {
		if err := os.WriteFile(source, floorSource, 0o600); err != nil {
			return nil, nil, err
		}
		if out, err := exec.Command("gcc", "-O2", "-Wall", "-o", program, source).CombinedOutput(); err != nil {
			return nil, nil, fmt.Errorf("gcc: %w: %s", err, out)
		}
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	cmd = exec.Command(program, port)
	if err := listenForeign(cmd, addr); err != nil {
		return nil, nil, err
	}
	return cmd, aimForeign(addr, "sse"), nil
}

func startForeign(cmd *exec.Cmd, addr, transport string) ([]string, func(), error) {
	stop, err := runForeign(cmd, addr)
	if err != nil {
		return nil, nil, err
	}
	return aimForeign(addr, transport), stop, nil
}

// aimForeign aims the load at a server that has its channels in the path.
func aimForeign(addr, transport string) []string {
	return []string{"--sub-url", "http://" + addr + "/sub/{key}", "--pub-url", "http://" + addr + "/pub/{key}", "--transport", transport}
}

// runForeign is listenForeign; stop ends the server.
func runForeign(cmd *exec.Cmd, addr string) (stop func(), err error) {
	if err := listenForeign(cmd, addr); err != nil {
		return nil, err
	}
	return func() { end(cmd) }, nil
}

// listenForeign starts a server and waits until it listens on addr.
func listenForeign(cmd *exec.Cmd, addr string) error {
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := awaitPort(addr); err != nil {
		end(cmd)
		return err
	}
	return nil
}
