package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// sumsName is the file of checksums; sha256sum -c reads it.
const sumsName = "SHA256SUMS"

// signer is the name that a signature is made and verified with.
const signer = "keywatch-release"

// writeSums writes the checksums of all results.
func (r *release) writeSums(context.Context) error {
	list, err := os.ReadDir(r.Out)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, e := range list {
		data, err := os.ReadFile(filepath.Join(r.Out, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), e.Name())
	}
	fmt.Fprintln(r.Log, sumsName)
	return os.WriteFile(filepath.Join(r.Out, sumsName), b.Bytes(), 0o644)
}

// sign signs the checksums, and verifies the signature as a user would.
func (r *release) sign(ctx context.Context) error {
	if r.Key == "" {
		return nil
	}
	sums := filepath.Join(r.Out, sumsName)
	if _, err := r.command(ctx, "ssh-keygen", "-Y", "sign", "-q", "-f", r.Key, "-n", "file", sums); err != nil {
		return err
	}
	public, err := r.command(ctx, "ssh-keygen", "-y", "-f", r.Key)
	if err != nil {
		return err
	}
	signers := filepath.Join(r.Out, sumsName+".signers")
	if err := os.WriteFile(signers, []byte(signer+" "+public), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(r.Log, "%s.sig\n%s.signers\n", sumsName, sumsName)
	return r.verify(ctx, sums, signers)
}

// verify fails if the signature of the checksums is not the signer's.
func (r *release) verify(ctx context.Context, sums, signers string) error {
	data, err := os.Open(sums)
	if err != nil {
		return err
	}
	defer data.Close()
	c := exec.CommandContext(ctx, "ssh-keygen", "-Y", "verify", "-f", signers, "-I", signer, "-n", "file", "-s", sums+".sig")
	c.Stdin = data
	_, err = r.do(c)
	return err
}
