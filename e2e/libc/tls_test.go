package libc

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"time"
)

const tlsName = "dot.example"

// certificate makes a server's certificate and the authority that signed it, in PEM.
func certificate(t *testing.T, addr netip.Addr) (config *tls.Config, authority string) {
	t.Helper()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: tlsName}, DNSNames: []string{tlsName},
		IPAddresses: []net.IP{addr.AsSlice()}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, leafKey := key(t), key(t)
	signedCA := sign(t, ca, ca, caKey, caKey)
	signed := sign(t, leaf, ca, leafKey, caKey)
	config = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{signed, signedCA}, PrivateKey: leafKey}}}
	return config, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signedCA}))
}

func key(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t *testing.T, c, by *x509.Certificate, k, with *ecdsa.PrivateKey) []byte {
	t.Helper()
	b, err := x509.CreateCertificate(rand.Reader, c, by, &k.PublicKey, with)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
