// The foreign end of interop-hashicorp.test.ts: hashicorp/yamux over stdin and stdout.
//
//	hashicorp-peer echo client|server          echoes every stream until it ends
//	hashicorp-peer send client|server SIZE     opens three streams, sends SIZE bytes on each,
//	                                           and checks the SHA-256 of what comes back
package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand"
	"os"
	"strconv"

	"github.com/hashicorp/yamux"
)

type pipes struct{}

func (pipes) Read(b []byte) (int, error)  { return os.Stdin.Read(b) }
func (pipes) Write(b []byte) (int, error) { return os.Stdout.Write(b) }
func (pipes) Close() error                { return os.Stdout.Close() }

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func session(role string) (*yamux.Session, error) {
	config := yamux.DefaultConfig()
	config.LogOutput = os.Stderr
	if role == "client" {
		return yamux.Client(pipes{}, config)
	}
	return yamux.Server(pipes{}, config)
}

func echo(s *yamux.Session) {
	for {
		stream, err := s.AcceptStream()
		if err != nil {
			return
		}
		go func() {
			io.Copy(stream, stream)
			stream.Close()
		}()
	}
}

func send(s *yamux.Session, size int) {
	results := make(chan error)
	for i := 0; i < 3; i++ {
		content := make([]byte, size)
		rand.New(rand.NewSource(int64(i))).Read(content)
		go func() {
			stream, err := s.OpenStream()
			if err != nil {
				results <- err
				return
			}
			go stream.Write(content)
			// Not closed before all is read: Debian's version reads nothing after its own close.
			hash := sha256.New()
			_, err = io.CopyN(hash, stream, int64(size))
			stream.Close()
			if want := sha256.Sum256(content); err == nil && string(hash.Sum(nil)) != string(want[:]) {
				err = fmt.Errorf("what came back differs")
			}
			results <- err
		}()
	}
	for i := 0; i < 3; i++ {
		fail(<-results)
	}
	fmt.Fprintln(os.Stderr, "three files came back whole")
}

func main() {
	s, err := session(os.Args[2])
	fail(err)
	if os.Args[1] == "echo" {
		echo(s)
		return
	}
	size, err := strconv.Atoi(os.Args[3])
	fail(err)
	send(s, size)
}
