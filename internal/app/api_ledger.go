package app

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/apexlogic/apex/internal/bounded"
	"github.com/apexlogic/apex/internal/ledger"
)

// proveRequest is the body of POST /v1/ledger/prove.
type proveRequest struct {
	ID       string `json:"id"`
	Disclose bool   `json:"disclose,omitempty"`
}

// maxProveRequest bounds that body: one id and a word.
const maxProveRequest = 1 << 10

// prove answers with the proof of a record of this process's ledger, sealing
// its segment first where it must.
func (u *up) prove(w http.ResponseWriter, r *http.Request) {
	data, err := bounded.ReadAll(http.MaxBytesReader(w, r.Body, maxProveRequest), maxProveRequest)
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, err)
		return
	}
	var request proveRequest
	if err := bounded.JSON(data, maxRequestDepth, &request); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	id, err := ledger.ParseID(request.ID)
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	d := ledger.Withhold
	if request.Disclose {
		d = ledger.Disclose
	}
	proof, err := u.engine.Ledger.Prove(r.Context(), id, d)
	if err == nil {
		data, err = proof.Encode()
	}
	if err != nil {
		refuse(w, ledgerStatus(err), err)
		return
	}
	answer(w, http.StatusOK, json.RawMessage(data))
}

// record answers with one record of this process's ledger.
func (u *up) record(w http.ResponseWriter, r *http.Request) {
	id, err := ledger.ParseID(r.PathValue("id"))
	if err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	e, err := u.engine.Ledger.Get(r.Context(), id)
	if err != nil {
		refuse(w, ledgerStatus(err), err)
		return
	}
	answer(w, http.StatusOK, NewRecord(roleUp, &e))
}

func ledgerStatus(err error) int {
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ledger.ErrErased):
		return http.StatusGone
	}
	return http.StatusServiceUnavailable
}

func refuse(w http.ResponseWriter, status int, err error) {
	answer(w, status, map[string]string{"error": err.Error()})
}
