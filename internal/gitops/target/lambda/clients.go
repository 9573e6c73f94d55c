package lambda

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// clients speak to AWS. What AWS throttles is tried again after waits that grow
// and are spread by chance.
type clients struct {
	lambda *lambda.Client
	iam    *iam.Client
	sts    *sts.Client
	s3     *s3.Client
}

// maxAttempts of one call, throttled ones included.
const maxAttempts = 6

// urgent is how calls are tried that somebody waits for: the attempts of each are
// bounded, and by nothing that others did. Who floods the account's API does not
// make the healer slower than AWS itself does.
func urgent() aws.Retryer { return retry.NewStandard(attempts) }

// patient is how looks in turn are tried: once AWS throttles, all of them slow
// down to what it takes, which leaves it to those that are urgent.
func patient() aws.Retryer {
	return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) { o.StandardOptions = append(o.StandardOptions, attempts) })
}

func attempts(o *retry.StandardOptions) {
	o.MaxAttempts, o.MaxBackoff = maxAttempts, maxPause
	o.RateLimiter = noQuota{} // the attempts are bounded, and a bound across objects would let one hold up all
}

// noQuota lets each call make its attempts.
type noQuota struct{}

func (noQuota) GetToken(context.Context, uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (noQuota) AddTokens(uint) error { return nil }

// clientsOf are clients of the services with a retryer for each.
func clientsOf(c aws.Config, how func() aws.Retryer) clients {
	c.Retryer = how
	return clients{lambda: lambda.NewFromConfig(c), iam: iam.NewFromConfig(c), sts: sts.NewFromConfig(c), s3: bucketsOf(c)}
}
