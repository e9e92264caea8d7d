// Client and pod of test/kube/go-http2.test.ts, on Go's own HTTP/2 with prior knowledge (net/http,
// Go 1.24 or newer): `main pod ADDRESS` echoes, `main client URL HOST` calls and prints what was
// wrong, one line each, then "done".
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

func echo(answer http.ResponseWriter, request *http.Request) {
	if request.ProtoMajor == 1 {
		// Else a server of HTTP/1.1 drops the rest of the body once it answers.
		_ = http.NewResponseController(answer).EnableFullDuplex()
	}
	answer.Header().Set("Content-Type", request.Header.Get("Content-Type"))
	answer.Header().Set("Trailer", "Grpc-Status")
	answer.WriteHeader(200)
	buffer := make([]byte, 32768)
	for {
		count, err := request.Body.Read(buffer)
		_, _ = answer.Write(buffer[:count])
		if request.URL.Path == "/stream" {
			answer.(http.Flusher).Flush()
		}
		if err != nil {
			break
		}
	}
	answer.Header().Set("Grpc-Status", "0")
}

type calls struct {
	client *http.Client
	url    string
	host   string
	lock   sync.Mutex
}

func (c *calls) wrong(format string, values ...any) {
	c.lock.Lock()
	defer c.lock.Unlock()
	fmt.Printf(format+"\n", values...)
}

func (c *calls) request(path string, body io.Reader) *http.Request {
	request, err := http.NewRequest("POST", c.url+path, body)
	if err != nil {
		panic(err)
	}
	request.Host = c.host
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("TE", "trailers")
	return request
}

func (c *calls) echo(size int) {
	body := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
	answer, err := c.client.Do(c.request("/echo", bytes.NewReader(body)))
	if err != nil {
		c.wrong("%d bytes: %v", size, err)
		return
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	status := answer.Trailer.Get("Grpc-Status")
	if err != nil || !bytes.Equal(got, body) || answer.StatusCode != 200 || status != "0" || answer.ProtoMajor != 2 {
		c.wrong("%d bytes: %s, %d came, grpc-status %q, %v", size, answer.Status, len(got), status, err)
	}
}

func (c *calls) many() {
	var all sync.WaitGroup
	for lane := range 200 {
		all.Add(1)
		go func() {
			defer all.Done()
			for call := range 20 {
				c.echo(5000 + lane*200 + call)
			}
		}()
	}
	all.Wait()
}

// Each message is answered before the next one is sent.
func (c *calls) stream() {
	reader, writer := io.Pipe()
	request := c.request("/stream", reader)
	answered := make(chan *http.Response)
	go func() {
		answer, err := c.client.Do(request)
		if err != nil {
			c.wrong("stream: %v", err)
		}
		answered <- answer
	}()
	_, _ = writer.Write([]byte("first;"))
	answer := <-answered
	if answer == nil {
		return
	}
	defer answer.Body.Close()
	for turn := range 5 {
		message := fmt.Sprintf("message %d;", turn)
		if turn == 0 {
			message = "first;"
		} else {
			_, _ = writer.Write([]byte(message))
		}
		got := make([]byte, len(message))
		if _, err := io.ReadFull(answer.Body, got); err != nil || string(got) != message {
			c.wrong("stream: %q came for %q, %v", got, message, err)
		}
	}
	_ = writer.Close()
	rest, err := io.ReadAll(answer.Body)
	if err != nil || len(rest) > 0 {
		c.wrong("stream: %q at its end, %v", rest, err)
	}
}

func main() {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	if os.Args[1] == "pod" {
		protocols.SetHTTP1(true)
		server := &http.Server{Addr: os.Args[2], Protocols: protocols, Handler: http.HandlerFunc(echo)}
		fmt.Println(server.ListenAndServe())
		os.Exit(1)
	}
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: 30 * time.Second}
	c := &calls{client: client, url: strings.TrimSuffix(os.Args[2], "/"), host: os.Args[3]}
	for _, size := range []int{0, 1, 100, 16383, 16384, 16385, 65535, 65536, 1 << 20, 4 << 20, 16 << 20} {
		c.echo(size)
	}
	c.many()
	c.stream()
	fmt.Println("done")
}
