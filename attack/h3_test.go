// A raw HTTP/3 client.

package attack_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

const h3Data, h3Headers = 0, 1

// writeCertificate makes what site "tls" shows. Nobody verifies it.
func writeCertificate(dir string, key *ecdsa.PrivateKey) error {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(dir, "tls.crt"), crt, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}

func dialH3(t *testing.T, addr string) *quic.Conn {
	t.Helper()
	conn, err := quic.DialAddr(t.Context(), addr, &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{"h3"}, ServerName: "127.0.0.1",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	return conn
}

// h3 sends one request to site "tls", as h2 does; trailers follow a body if there are any. Status 0
// means that the server reset the stream or the connection.
func (r *rig) h3(t *testing.T, conn *quic.Conn, fields, trailers []string) (status int, reached []wireRequest) {
	t.Helper()
	id := fmt.Sprintf("q%d", r.cases.Add(1))
	stream, err := conn.OpenStreamSync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = stream.SetDeadline(time.Now().Add(patience))
	all := withPseudo(id, append([]string{":scheme: https", ":authority: 127.0.0.1"}, fields...))
	request := h3Frame(h3Headers, h3Fields(t, all))
	if trailers != nil {
		request = append(request, h3Frame(h3Data, []byte("hello"))...)
		request = append(request, h3Frame(h3Headers, h3Fields(t, trailers))...)
	}
	_, err = stream.Write(request)
	_ = stream.Close()
	if err == nil {
		status, _ = h3Status(stream)
	}
	return status, r.upstream.requests(id)
}

func h3Frame(kind uint64, payload []byte) []byte {
	return append(quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload))), payload...)
}

func h3Fields(t *testing.T, fields []string) []byte {
	t.Helper()
	var block bytes.Buffer
	enc := qpack.NewEncoder(&block)
	for _, field := range fields {
		i := strings.Index(field[1:], ":") + 1
		if err := enc.WriteField(qpack.HeaderField{Name: field[:i], Value: strings.TrimPrefix(field[i+1:], " ")}); err != nil {
			t.Fatal(err)
		}
	}
	return block.Bytes()
}

// h3Status reads the status and the rest of an answer.
func h3Status(stream io.Reader) (int, error) {
	r := quicvarint.NewReader(stream)
	for {
		kind, err := quicvarint.Read(r)
		if err != nil {
			return 0, err
		}
		n, err := quicvarint.Read(r)
		if err != nil {
			return 0, err
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(r, payload); err != nil {
			return 0, err
		}
		if kind != h3Headers {
			continue
		}
		field, err := qpack.NewDecoder().Decode(payload)()
		if err != nil {
			return 0, err
		}
		status, err := strconv.Atoi(field.Value)
		if err != nil || status >= 200 {
			_, _ = io.Copy(io.Discard, stream)
			return status, err
		}
	}
}
