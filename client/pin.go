package client

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrFingerprint matches a connection to a server that has another key than the one that was pinned.
var ErrFingerprint = errors.New("the server has another key than expected")

// pinPrefix begins the text of a fingerprint.
const pinPrefix = "sha256:"

// PinnedTLS returns what Options.TLS accepts one server by, whatever authority has signed its
// certificate: fingerprint is the SHA-256 of its public key as keywatch serve --tls-self-signed prints
// it, sha256: and 64 hexadecimal digits. Neither the names nor the dates in the certificate count.
// Connections to other servers fail with an error that matches ErrFingerprint. PinnedTLS fails if the
// text is no fingerprint.
func PinnedTLS(fingerprint string) (*tls.Config, error) {
	digits, ok := strings.CutPrefix(fingerprint, pinPrefix)
	want, err := hex.DecodeString(digits)
	if !ok || err != nil || len(want) != sha256.Size {
		return nil, fmt.Errorf("client: %.100q is no fingerprint: expected %s and 64 hexadecimal digits", fingerprint, pinPrefix)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// The usual verification would look at authorities, names and dates. This one replaces it.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			got := sha256.Sum256(s.PeerCertificates[0].RawSubjectPublicKeyInfo)
			if subtle.ConstantTimeCompare(got[:], want) != 1 {
				return fmt.Errorf("%w: it has %s%s", ErrFingerprint, pinPrefix, hex.EncodeToString(got[:]))
			}
			return nil
		},
	}, nil
}
