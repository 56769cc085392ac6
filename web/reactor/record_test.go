package reactor_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"keywatch/test/gate"
	"keywatch/web/tlsconn"
)

// Kinds of records, and messages of handshakes.
const (
	kindAlert, kindHandshake, kindData = 21, 22, 23

	// keyUpdate changes the sender's keys, and asks for the same if its last byte is 1.
	keyUpdate, keyUpdateAsked = "\x18\x00\x00\x01\x00", "\x18\x00\x00\x01\x01"
	// closeNotify says that the sender sends nothing more.
	closeNotify = "\x01\x00"
)

// A sealer makes and opens the records of one direction of TLS 1.3, as no client of crypto/tls
// would.
type sealer struct {
	secret, iv []byte
	aead       cipher.AEAD
	seq        uint64
}

// setSecret begins with the keys of a secret.
func (s *sealer) setSecret(t *testing.T, secret []byte) {
	t.Helper()
	block, err := aes.NewCipher(expand(t, secret, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	s.secret, s.iv, s.seq = secret, expand(t, secret, "iv", 12), 0
}

// update continues with the next keys.
func (s *sealer) update(t *testing.T) {
	s.setSecret(t, expand(t, s.secret, "traffic upd", sha256.Size))
}

// expand is HKDF-Expand-Label of RFC 8446.
func expand(t *testing.T, secret []byte, label string, size int) []byte {
	t.Helper()
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(info, byte(len("tls13 "+label)))
	info = append(append(info, "tls13 "+label...), 0)
	b, err := hkdf.Expand(sha256.New, secret, string(info), size)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *sealer) nonce() []byte {
	nonce := bytes.Clone(s.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(s.seq >> (56 - 8*i))
	}
	s.seq++
	return nonce
}

// seal returns a record.
func (s *sealer) seal(kind byte, data string) string {
	inner := append([]byte(data), kind)
	head := []byte{kindData, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(head[3:], uint16(len(inner)+s.aead.Overhead()))
	return string(s.aead.Seal(head, s.nonce(), inner, head))
}

// read reads the next record of conn.
func (s *sealer) read(conn io.Reader) (kind byte, data string, err error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(conn, head); err != nil {
		return 0, "", err
	}
	sealed := make([]byte, binary.BigEndian.Uint16(head[3:]))
	if _, err := io.ReadFull(conn, sealed); err != nil {
		return 0, "", err
	}
	inner, err := s.aead.Open(nil, s.nonce(), sealed, head)
	if err != nil {
		return 0, "", err
	}
	return inner[len(inner)-1], string(inner[:len(inner)-1]), nil
}

// A rawClient is the client's end of a connection over TLS 1.3 whose handshake is done.
type rawClient struct {
	*net.TCPConn
	// in and out are the records of the server and of the client.
	in, out sealer
}

// rawTLS returns the two ends of such a connection.
func rawTLS(t *testing.T) (*rawClient, *tlsconn.Conn) {
	t.Helper()
	var log bytes.Buffer
	client, server := overTLS(t, func(c *tls.Config) { c.KeyLogWriter, c.MinVersion = &log, tls.VersionTLS13 })
	if suite := client.(*tls.Conn).ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skipf("the test does not know %s", tls.CipherSuiteName(suite))
	}
	raw := &rawClient{TCPConn: tlsconn.Under(client).(*net.TCPConn)}
	for line := range strings.Lines(log.String()) {
		words := strings.Fields(line)
		secret, err := hex.DecodeString(words[2])
		if err != nil {
			t.Fatal(err)
		}
		switch words[0] {
		case "CLIENT_TRAFFIC_SECRET_0":
			raw.out.setSecret(t, secret)
		case "SERVER_TRAFFIC_SECRET_0":
			raw.in.setSecret(t, secret)
		}
	}
	return raw, server
}

// say sends records as they are.
func (c *rawClient) say(t *testing.T, records string) {
	t.Helper()
	if _, err := io.WriteString(c, records); err != nil {
		t.Fatal(err)
	}
}

// next returns the next record.
func (c *rawClient) next(t *testing.T) (kind byte, data string) {
	t.Helper()
	kind, data, err := c.in.read(c)
	if err != nil {
		t.Fatal(err)
	}
	return kind, data
}

// overTLS returns the two ends of a new connection over TLS, whose handshake is done.
func overTLS(t *testing.T, change ...func(client *tls.Config)) (net.Conn, *tlsconn.Conn) {
	t.Helper()
	client, server := connectTCP(t)
	serverConfig, clientConfig := gate.TLS(t)
	serverConfig.SessionTicketsDisabled = true
	for _, c := range change {
		c(clientConfig)
	}
	inner, outer := tlsconn.Server(server, serverConfig), tls.Client(client, clientConfig)
	shaken := make(chan error, 1)
	go func() { shaken <- inner.Handshake() }()
	err := outer.Handshake()
	if err != nil {
		server.Close() // so that its handshake ends
	}
	if err := errors.Join(err, <-shaken); err != nil {
		t.Fatal(err)
	}
	return outer, inner
}
