package app

import (
	"strings"

	"github.com/apexlogic/apex/api/v1alpha1"
	"github.com/apexlogic/apex/internal/gateway"
)

// priceOf reads what a model's tokens cost: millionths for a million of them are
// millionths of a millionth for one.
func priceOf(p *v1alpha1.Price) *gateway.Price {
	if p == nil {
		return nil
	}
	return &gateway.Price{Input: millionths(p.Input), Output: millionths(p.Output)}
}

// millionths reads a decimal number of up to six digits on either side of its
// point, which the schema has seen to; "" is none.
func millionths(s string) int64 {
	whole, fraction, _ := strings.Cut(s, ".")
	var n int64
	for _, digit := range whole + (fraction + "000000")[:6] {
		n = n*10 + int64(digit-'0')
	}
	return n
}
