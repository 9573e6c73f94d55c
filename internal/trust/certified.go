package trust

type certified struct{ name string }

func newCertified(e *Entry) (*certified, error) { return &certified{name: e.Name}, nil }

type CertificateEntry struct{}
