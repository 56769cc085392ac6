package readme_test

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"keywatch/test/gate"
)

// What commands print of a write.
const (
	written = `\{"rev":\d+,"version":\d+,"created":(?:true|false)\}\n`
	put     = `(?:created|replaced) version=\d+ etag=[0-9a-f]{8}-\d+\n`
)

// steps are what becomes of each block of README.md.
var steps = []step{
	{`go run ./app/keywatch serve     # serves on http://127.0.0.1:7070, data in ./keywatch-data`, firstStart},
	{`<!doctype html>`, func(r *reader, b block) { r.write("page.html", b.text) }},
	{`keywatch serve --allow-origin http://127.0.0.1:8000 &`, servePage},
	{`keywatch put sensors/1 21.5`, prints("created version=1 etag=[0-9a-f]{8}-1\n")},
	{`const es = new EventSource('http://127.0.0.1:7070/v1/watch?prefix=sensors/')`, eventSource},
	{`curl -N '127.0.0.1:7070/v1/watch?prefix=sensors/'`, func(r *reader, b block) {
		r.start(r.home, "exec "+b.text).shows(`(?s)"value":"21.5".*event: synced\n`)
	}},
	{`curl -X PUT --data-binary 22 127.0.0.1:7070/v1/kv/sensors/1`, prints(`\{"rev":2,"version":2,"created":false\}\n`)},
	{`event: put`, streamShows},
	{`curl 127.0.0.1:7070/v1/kv/sensors/1`, prints(`22` + written + `\{"entries":\[\{"key":"sensors/1","value":"22",.*"position":"[0-9a-f]{8}-\d+"\}\n`)},
	{`keywatch put sensors/1 23`, func(r *reader, b block) {
		r.lastGoesOn(b, put+`KEY +REV .*\nsensors/1 .* 23\n(?:sensors/2 .*\n)?`).shows(`sensors/1  version=1  23\n(?s:.*)# synced at `).interrupt(true)
	}},
	{`keywatch watch sensors/ --exec 'echo "$KEYWATCH_EVENT_KEY is $(cat)"'`, execAndMirror},
	{`curl -s -X PUT --data-binary 0 127.0.0.1:7070/v1/kv/counter`, prints(`(?:` + written + `){2}`)},
	{`curl -d '{"expected":"1","new":"2"}' 127.0.0.1:7070/v1/cas/counter`, prints(written + put)},
	{`curl -d '{"checks":[{"key":"config","exists":false}],`, prints(`\{"committed":true,"rev":\d+,"results":\[.*\]\}\n`)},
	{`curl -i -X PUT -H 'Idempotency-Key: order-17' --data-binary paid 127.0.0.1:7070/v1/kv/orders/17`, func(r *reader, b block) {
		prints(`(?s)HTTP/1.1 201 .*\n`+written)(r, b)
		prints(`(?s)HTTP/1.1 201 .*Idempotency-Replayed: true.*\n`+written)(r, b) // as the text says
	}},
	{`lease=$(curl -s -d '{"ttl":"10s"}' 127.0.0.1:7070/v1/leases | sed 's/.*"id":"\([^"]*\)".*/\1/')`, prints(written + `\{"id":"[^"]+","ttl_ms":10000\}\n`)},
	{`answer=$(curl -s -d '{"ttl":"30s","wait":"1m","owner":"me"}' 127.0.0.1:7070/v1/locks/deploy)`, prints(written + `\{"token":\d+,"lease":"[^"]+","ttl_ms":30000\}\n`)},
	{`keywatch lock deploy -- sh -c 'keywatch put app/version v3'`, prints(put)},
	{`keywatch serve --memory-only --listen 127.0.0.1:7072 --resp 127.0.0.1:6380 & until redis-cli -p 6380 ping; do sleep 1; done`, redisClients},
	{`keywatch elect --value=10.0.0.7:80 api -- sleep 60 &`, elect},
	{`package main`, goProgram},
	{`db, err := app.Open(ctx, app.Config{Data: "keywatch-data"}) // or MemoryOnly: true`, goSnippet},
	{`keywatch serve --auth=on --data team-data --listen 127.0.0.1:7074 --allow-origin http://127.0.0.1:8001 &`, serveTeam},
	{`export KEYWATCH_SERVER=http://127.0.0.1:7074`, asTeam(`logged in as admin until .*\nset viewer\nadded wall\n` + put)},
	{`keywatch --token-file wall.key get sensors/1; echo`, asTeam(`21.5\n(?s:keywatch: error: not permitted: requires write:sensors/1 .*)exit code 7, .*\n`)},
	{`<!doctype html>`, func(r *reader, b block) { r.write("wall.html", b.text) }},
	{`echo "http://127.0.0.1:8001/wall.html#$(keywatch --token-file wall.key auth ticket sensors/ --reuse --ttl 12h)"`, teamPage},
	{`keywatch serve --auth=on --data tls-data --listen 127.0.0.1:7075 --tls-self-signed &`, serveSecurely},
	{`export KEYWATCH_SERVER=https://127.0.0.1:7075`, useSecurely},
	{`examples/cluster/run &`, startCluster},
	{`curl -X PUT --data-binary 21 127.0.0.1:7171/v1/kv/room; echo`, func(r *reader, b block) {
		r.run(r.root, b.text, `\{"rev":\d+,.*\}\n\n21\n(?s:.*copies 2/3.*n1 .*n2 .*n3 .*)`)
	}},
	{`keywatch --server http://127.0.0.1:7172,http://127.0.0.1:7173 watch room &`, func(r *reader, b block) {
		// What the watch shows comes between the answers of curl.
		p := r.start(r.root, b.text)
		p.shows(`(?m)^\{"rev":\d+,"version":2,`).shows(`(?m)^22`).shows(`put +room +version=2 +22\n`)
	}},
	{`# the first, or a server that has data already`, func(*reader, block) {}}, // test/e2e does that
	{`curl '127.0.0.1:7070/v1/kv?prefix=sensors/&limit=1'`, prints(`\{"entries":\[\{.*\}\](?:,"next":"[^"]+")?,"position":"[0-9a-f]{8}-\d+"\}\n(?:\{"key":.*\}\n)+\{"position":"[0-9a-f]{8}-\d+"\}\n`)},
	{`keywatch status                              # what the server says of itself`, operating},
}

// If this failed, someone who pastes what the README shows would get something
// else than it says.
func TestProofReadme(t *testing.T) {
	gate.Long(t)
	gate.Program(t, "curl")
	r := newReader(t)
	r.follow("README.md", steps)
	for _, look := range r.later {
		look()
	}
}

// If this failed, a block of a text would be one that no proof tries.
func TestBlocksAreKnown(t *testing.T) {
	for text, steps := range map[string][]step{"README.md": steps, "examples/README.md": exampleSteps, "CONTRIBUTING.md": contributingSteps} {
		all := readBlocks(t, filepath.Join("../..", text))
		if wrong := pair(all, steps); len(all) == 0 || len(wrong) > 0 {
			t.Errorf("%s: %d blocks: %s", text, len(all), strings.Join(wrong, "\n"))
		}
	}
}

// follow does what a text says, block by block.
func (r *reader) follow(text string, steps []step) {
	r.Helper()
	all := readBlocks(r.T, filepath.Join(r.root, text))
	if wrong := pair(all, steps); len(wrong) > 0 {
		r.Fatalf("%s: %s", text, strings.Join(wrong, "\n"))
	}
	for i, b := range all {
		r.Logf("%s:%d %s", text, b.line, b.first())
		steps[i].do(r, b)
	}
}

// prints returns a step that runs a block to its end.
func prints(pattern string) func(*reader, block) {
	return func(r *reader, b block) { r.run(r.home, b.text, pattern) }
}

// says fails unless the README has a text in its prose.
func (r *reader) says(text string) {
	r.Helper()
	all, err := os.ReadFile(filepath.Join(r.root, "README.md"))
	if err != nil {
		r.Fatal(err)
	}
	if prose := strings.Join(strings.Fields(string(all)), " "); !strings.Contains(prose, text) {
		r.Errorf("the README does not say %s any more", text)
	}
}

// lastGoesOn runs the lines of a block but the last, which is left running.
func (r *reader) lastGoesOn(b block, pattern string) *program {
	r.Helper()
	lines := strings.Split(strings.TrimSpace(b.text), "\n")
	last := len(lines) - 1
	r.run(r.home, strings.Join(lines[:last], "\n"), pattern)
	return r.start(r.home, "exec "+lines[last])
}

// firstStart runs the server from the checkout, but with its data elsewhere, and
// installs the command.
func firstStart(r *reader, b block) {
	lines := strings.Split(strings.TrimSpace(b.text), "\n")
	if len(lines) != 2 || !strings.HasPrefix(lines[1], "go test ./... ") {
		r.Fatalf("the first block is\n%s", b.text) // its second line is what runs this
	}
	r.start(r.root, "export KEYWATCH_DATA="+r.home+"/first; exec "+lines[0]).
		shows("^keywatch: http://127.0.0.1:7070 data=.*/first fsync=always\n").interrupt(false) // go run then ends with 1
	r.says("`go install ./app/keywatch` installs it in `$(go env GOPATH)/bin`")
	r.run(r.root, "go install ./app/keywatch", "")
}

// startCluster runs three servers until the test ends, and removes their data.
func startCluster(r *reader, b block) {
	r.Cleanup(func() {
		if err := os.RemoveAll(filepath.Join(r.root, "keywatch-cluster")); err != nil {
			r.Error(err)
		}
	})
	r.start(r.root, "exec "+strings.TrimSuffix(strings.TrimSpace(b.text), " &")).
		shows(`(?s)(?:keywatch: http://127.0.0.1:717\d data=\S+ fsync=always\n.*){3}`)
	r.eventually(func() bool { return ready("http://127.0.0.1:7172") }, func() string { return "the cluster is not ready" })
}

// ready reports whether a server is.
func ready(url string) bool {
	resp, err := http.Get(url + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// servePage runs the server, and another for the page, until the test ends.
func servePage(r *reader, b block) {
	gate.Program(r, "python3")
	r.start(r.home, b.text).shows(`(?m)^keywatch: http://127.0.0.1:7070 data=/.*/keywatch-data fsync=always$`)
	r.later = append(r.later, r.lookAtPage)
}

// streamShows compares the event that the text shows with what was printed by the
// curl that still runs.
func streamShows(r *reader, b block) {
	p := r.running[len(r.running)-2] // before that which wrote
	p.shows(strings.ReplaceAll(regexp.QuoteMeta(b.text), "7f3a9c21", "[0-9a-f]{8}")).interrupt(false)
}

// execAndMirror runs both lines at once.
func execAndMirror(r *reader, b block) {
	exec, mirror, _ := strings.Cut(b.text, "\n")
	watch, keep := r.start(r.home, "exec "+exec), r.start(r.home, "exec "+mirror)
	watch.shows(`sensors/1 is 23\n`)
	file := filepath.Join(r.home, "sensors", "1")
	holds := func(want string) {
		r.eventually(func() bool {
			got, err := os.ReadFile(file)
			return err == nil && string(got) == want
		}, func() string { return file + " never held " + want + ":\n" + keep.output() })
	}
	holds("23")
	r.run(r.home, "keywatch put sensors/1 24", put)
	watch.shows(`sensors/1 is 24\n`).interrupt(true)
	holds("24")
	keep.interrupt(true)
}

// elect stands, looks who leads, and has the leader resign.
func elect(r *reader, b block) {
	stand, look, both := strings.Cut(b.text, "\n\n")
	if !both {
		r.Fatalf("%s\nhas no pause in which one is elected", b.text)
	}
	leader := r.start(r.home, stand).shows(`leading api, token \d+\n`)
	watch := r.lastGoesOn(block{text: look}, `10\.0\.0\.7:80`).shows(`"key":"locks/api","value":"10.0.0.7:80"`)
	leader.stop(syscall.SIGTERM)
	watch.shows(`"type":"delete","key":"locks/api"`).interrupt(false)
}

// goProgram builds the program in a module of its own, as the text says, and runs
// it.
func goProgram(r *reader, b block) {
	r.says("`go mod edit -replace keywatch=../keywatch` and `go get keywatch/client`")
	if err := os.Symlink(r.root, filepath.Join(r.home, "keywatch")); err != nil {
		r.Fatal(err)
	}
	r.write("mine/main.go", b.text)
	dir := filepath.Join(r.home, "mine")
	r.run(dir, "go mod init mine\ngo mod edit -replace keywatch=../keywatch\ngo get keywatch/client\ngo vet .\ngo build -o mine .", `(?s).*`)
	p := r.start(dir, "exec ./mine").shows(`sensors/1 is 24\n`)
	r.run(r.home, "keywatch get config/app; keywatch get scheduler/run; keywatch get locks/scheduler", `(?s)v2\n?1\n?10\.0\.0\.7:80\n?`)
	r.run(r.home, "keywatch put sensors/3 7", put)
	p.shows(`sensors/3 is 7\n`).interrupt(false)
}

// goSnippet compiles a piece of a program within one.
func goSnippet(r *reader, b block) {
	r.write("inside/main.go", "package main\n\nimport (\n\"context\"\n\"fmt\"\n\"log\"\n\n\"keywatch/app\"\n\"keywatch/watch\"\n)\n\n"+
		"func main() {\nctx := context.Background()\n"+b.text+"\n_, _ = r, rev\n}\n")
	r.run(filepath.Join(r.home, "inside"), "go mod init inside\ngo mod edit -replace keywatch=../keywatch\ngo get keywatch/app\ngo vet .\ngo build -o inside .", `(?s).*`)
}

// operating runs what is for those who run the server, the benchmark for a second
// and not ten.
func operating(r *reader, b block) {
	r.run(r.home, strings.Replace(b.text, "bench put", "bench put --seconds=1 --conns=4", 1),
		`(?s)version .*ready +yes.*lock waiters.*keywatch_keys \d+.*FILE: .*restored to NEW-FOLDER.*checkpoint file: .*put.*`)
}

// redisClients runs what clients of Redis do, on free ports.
func redisClients(r *reader, b block) {
	gate.Program(r.T, "redis-cli")
	http, redis := gate.Address(r.T), gate.Address(r.T)
	text := strings.NewReplacer("127.0.0.1:7072", http, "6380", redis[strings.LastIndex(redis, ":")+1:]).Replace(b.text)
	r.run(r.home, text+"\nkill $!; wait", `(?s).*PONG\n.*OK\n7\n.*rev.*\n7\n.*`)
}
