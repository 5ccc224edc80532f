// Calls of all kinds by grpc-go; prints one line per finding: name, tab, JSON.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// raw passes messages as the bytes they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = append([]byte{}, data...); return nil }
func (raw) Name() string                       { return "proto" }

var conn *grpc.ClientConn

func found(name string, value any) {
	text, _ := json.Marshal(value)
	fmt.Printf("%s\t%s\n", name, text)
}

func unary(ctx context.Context, method string, request []byte, options ...grpc.CallOption) any {
	var answer []byte
	if err := conn.Invoke(ctx, "/test.Probe/"+method, &request, &answer, options...); err != nil {
		return []string{status.Code(err).String(), status.Convert(err).Message()}
	}
	if len(answer) < 100 {
		return string(answer)
	}
	return len(answer)
}

func stream(method string) grpc.ClientStream {
	opened, err := conn.NewStream(context.Background(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Probe/"+method)
	if err != nil {
		panic(err)
	}
	return opened
}

func collect(opened grpc.ClientStream) []int {
	sizes := []int{}
	for {
		var answer []byte
		if err := opened.RecvMsg(&answer); err == io.EOF {
			return sizes
		} else if err != nil {
			panic(err)
		}
		sizes = append(sizes, len(answer))
	}
}

func send(opened grpc.ClientStream, messages ...[]byte) {
	for _, message := range messages {
		if err := opened.SendMsg(&message); err != nil {
			panic(err)
		}
	}
	opened.CloseSend()
}

func main() {
	var err error
	conn, err = grpc.NewClient("127.0.0.1:"+os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{}), grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	background := context.Background()

	found("unary", unary(background, "echo", []byte("hello")))
	found("large", unary(background, "echo", make([]byte, 4_000_000)))
	found("too large", unary(background, "echo", make([]byte, 4_194_305)))
	found("abort", unary(background, "abort", []byte("größer")))
	short, stop := context.WithTimeout(background, 200*time.Millisecond)
	defer stop()
	found("deadline", unary(short, "hang", []byte("go")).([]string)[0])
	given, giveUp := context.WithCancel(background)
	time.AfterFunc(50*time.Millisecond, giveUp)
	found("cancel", unary(given, "hang", []byte("go")).([]string)[0])

	var calls sync.WaitGroup
	right := make([]bool, 1000)
	for n := range right {
		calls.Add(1)
		go func() {
			defer calls.Done()
			right[n] = unary(background, "later", []byte(strconv.Itoa(n))) == strconv.Itoa(n)
		}()
	}
	calls.Wait()
	all := true
	for _, each := range right {
		all = all && each
	}
	found("parallel", all)

	many := stream("many")
	send(many, []byte("2000"))
	found("server stream", len(collect(many)))

	total := stream("total")
	pieces := make([][]byte, 100)
	for n := range pieces {
		pieces[n] = make([]byte, 10_000)
	}
	send(total, pieces...)
	var sum []byte
	total.RecvMsg(&sum)
	found("client stream", string(sum))

	chat := stream("chat")
	go send(chat, make([]byte, 1), make([]byte, 100_000), []byte{}, make([]byte, 5))
	found("both stream", collect(chat))

	var trailers metadata.MD
	with := metadata.AppendToOutgoingContext(background, "key-bin", "\x00\xff")
	unary(with, "metadata", []byte{}, grpc.Trailer(&trailers))
	found("metadata", hex.EncodeToString([]byte(trailers.Get("last-bin")[0])))
}
