package lambdatest

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// content is what every archive of every bucket holds: something of its own.
func content(bucket, key, version string) string {
	return "PK archive " + bucket + "/" + key + "@" + version
}

// Checksums has S3 keep SHA-256 checksums of that type: "FULL_OBJECT", or
// "COMPOSITE" for those of uploads in parts; "" ends it.
func (s *Server) Checksums(kind string) { s.mu.Lock(); defer s.mu.Unlock(); s.checksums = kind }

// archive serves HeadObject and GetObject.
func (s *Server) archive(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	op := "GetObject"
	if r.Method == http.MethodHead {
		op = "HeadObject"
	}
	version := r.URL.Query().Get("versionId")
	var err *refuse
	if fault := s.count(op); fault != nil {
		err = &refuse{fault.Status, fault.Code, fault.Message}
	} else if strings.HasPrefix(version, "gone") {
		err = &refuse{http.StatusNotFound, "NoSuchVersion", "The specified version does not exist."}
	}
	if err != nil {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(err.status)
		if op == "GetObject" { // an answer to HEAD has no body, and so no code
			fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message><RequestId>1</RequestId></Error>`, err.code, err.message)
		}
		return
	}
	held := content(r.PathValue("bucket"), r.PathValue("key"), version)
	w.Header().Set("X-Amz-Version-Id", version)
	w.Header().Set("Content-Length", fmt.Sprint(len(held)))
	if s.checksums != "" && r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
		digest := sum(held)
		if s.checksums == "COMPOSITE" {
			digest = sum("parts of "+held) + "-2"
		}
		w.Header().Set("X-Amz-Checksum-Sha256", digest)
		w.Header().Set("X-Amz-Checksum-Type", s.checksums)
	}
	if op == "GetObject" {
		_, _ = io.WriteString(w, held)
	}
}
