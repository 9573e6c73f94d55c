// Command captioner serves the captioner's model, which it holds.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/apexlogic/apex/examples/captioner"
	"github.com/apexlogic/apex/examples/captioner/server"
	"github.com/apexlogic/apex/examples/captioner/tiny"
)

func main() {
	address := flag.String("address", "127.0.0.1:8080", "where to listen")
	flag.Parse()
	if err := run(*address, os.Getenv("CAPTIONER_TOKEN")); err != nil {
		log.Fatal(err)
	}
}

func run(address, token string) error {
	weights, err := captioner.Model.ReadFile("model/model.safetensors")
	if err != nil {
		return err
	}
	model, err := tiny.Load(weights)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	log.Printf("listening on http://%s, described at /openapi.json", listener.Addr())
	s := &http.Server{
		Handler:           server.New(model, server.Options{Token: token}),
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10,
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		within, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Shutdown(within)
	}()
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
