package message

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/apexlogic/apex/internal/media"
	"github.com/apexlogic/apex/verdict"
)

// ServeHTTP takes one event, in binary or structured mode. It answers 202 when
// the event was passed on, now or before; 4xx when it is refused, which senders
// do not repeat; and 503 when it has to be sent again.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, err := g.readHTTP(w, r)
	outcome := Failed
	if err == nil {
		outcome, err = g.Take(r.Context(), e)
	} else if code, _ := codeOf(err); code != verdict.GatewayFailed {
		outcome, err = g.deny(r.Context(), &Record{Schema: RecordSchema, At: g.options.Clock.Now()}, err)
	}
	status := http.StatusAccepted
	code, detail := codeOf(err)
	switch {
	case outcome == Passed, outcome == Repeated:
		w.WriteHeader(status)
		return
	case outcome == Failed:
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", strconv.Itoa(int((g.options.Retry+time.Second-1)/time.Second)))
	case code == verdict.MessageMalformed || code == verdict.RequestMethod:
		status = http.StatusBadRequest
	case code == verdict.BodyLimit:
		status = http.StatusRequestEntityTooLarge
	case strings.HasPrefix(string(code), string(verdict.RequestIdentity)), code == verdict.MessageSignature:
		status, detail = http.StatusUnauthorized, code.Info().Meaning
	default:
		status = http.StatusForbidden
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": detail, "type": "apex_denied", "code": code}})
}

func (g *Gate) readHTTP(w http.ResponseWriter, r *http.Request) (*Event, error) {
	if r.Method != http.MethodPost {
		return nil, media.Refuse(verdict.RequestMethod, "", "events are sent with POST")
	}
	if len(r.Header.Values("Content-Encoding")) > 0 {
		return nil, media.Refuse(verdict.MessageMalformed, "", "events are not taken compressed")
	}
	// In structured mode the data may be in base64, with the attributes around it.
	most := g.options.Data/3*4 + maxContext + 4
	content, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, media.Refuse(verdict.BodyLimit, "", "the event has more than %d bytes", most)
	}
	if err != nil {
		return nil, err
	}
	for name := range r.Header {
		if strings.HasPrefix(strings.ToLower(name), "ce_") || strings.HasPrefix(strings.ToLower(name), "content_") {
			return nil, malformed("attributes are spelled in two ways")
		}
	}
	return Read(r.Header, content, true)
}

var _ http.Handler = (*Gate)(nil)
