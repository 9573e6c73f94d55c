package render

func (r *renderer) kustomize(dir string) error { return nil }
