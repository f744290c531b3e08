// Looks at a cluster from inside a pod whose image holds nothing but this program; it is also what a pod's own
// sandbox runs. In: a verb. Out: one line per fact; the exit status is 0 when the fact holds.
// Must not know: ghostship.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 0:
		return pause()
	case arguments[0] == "confined":
		return confined()
	case arguments[0] == "resolve" && len(arguments) == 2:
		return resolve(arguments[1])
	case arguments[0] == "api" && len(arguments) == 2:
		return api(arguments[1])
	case arguments[0] == "mysql" && len(arguments) == 3:
		return mysql(arguments[1], arguments[2])
	}
	return fmt.Errorf("use: probe [confined | resolve NAME | api PATH | mysql HOST:PORT CA_FILE]")
}

// pause waits to be ended; as the first process of a pod it also buries its orphans.
func pause() error {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			break
		}
		for pid := 1; pid > 0; {
			pid, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		}
	}
	return nil
}

// confined fails when this process has more rights than restricted pod security leaves.
func confined() error {
	if os.Getuid() != 65532 {
		return fmt.Errorf("the user id is %d", os.Getuid())
	}
	if err := os.WriteFile("/written", nil, 0o600); err == nil {
		return fmt.Errorf("the root file system can be written")
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for _, line := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapBnd:\t0000000000000000"} {
		if !strings.Contains(string(status), line+"\n") {
			return fmt.Errorf("the kernel does not say %q", line)
		}
	}
	fmt.Println("confined")
	return nil
}

func resolve(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return err
	}
	fmt.Println(name, strings.Join(addresses, " "))
	return nil
}

// api reads a path of the API server with the pod's own token and the authority it was given.
func api(path string) error {
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return err
	}
	authority, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	client := http.Client{Timeout: 10 * time.Second, Transport: transport}
	request, err := http.NewRequest(http.MethodGet, "https://kubernetes.default.svc"+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 200))
	if err != nil {
		return err
	}
	fmt.Println(answer.Status)
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the API server says: %s", body)
	}
	return nil
}

// mysql asks a MySQL server for TLS and fails unless its certificate comes from the authority and bears the host's name.
func mysql(address, authority string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	trusted, err := os.ReadFile(authority)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(trusted)
	plain, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	defer plain.Close()
	if err := plain.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if err := askForTLS(plain); err != nil {
		return err
	}
	encrypted := tls.Client(plain, &tls.Config{RootCAs: roots, ServerName: host})
	if err := encrypted.Handshake(); err != nil {
		return err
	}
	fmt.Println("verified", encrypted.ConnectionState().PeerCertificates[0].DNSNames)
	return nil
}

// askForTLS reads the server's greeting and answers it with the packet that precedes the handshake of TLS.
func askForTLS(server net.Conn) error {
	header := make([]byte, 4)
	if _, err := io.ReadFull(server, header); err != nil {
		return err
	}
	length := int64(header[0]) | int64(header[1])<<8 | int64(header[2])<<16
	if _, err := io.CopyN(io.Discard, server, length); err != nil {
		return err
	}
	const protocol41, secureConnection, encrypted = 1 << 9, 1 << 15, 1 << 11
	request := make([]byte, 36)
	request[0], request[3] = 32, header[3]+1
	binary.LittleEndian.PutUint32(request[4:], protocol41|secureConnection|encrypted)
	binary.LittleEndian.PutUint32(request[8:], 1<<24)
	request[12] = 45
	_, err := server.Write(request)
	return err
}
