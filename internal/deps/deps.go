//go:build deps

// Package deps lists modules that are about to be used.
package deps

import (
	_ "github.com/aquasecurity/go-npm-version/pkg"
	_ "github.com/aquasecurity/go-pep440-version"
	_ "github.com/getkin/kin-openapi/openapi3"
	_ "github.com/hashicorp/hcl/v2"
	_ "github.com/hashicorp/hcl/v2/ext/typeexpr"
	_ "github.com/hashicorp/hcl/v2/hclparse"
	_ "github.com/hashicorp/hcl/v2/hclsyntax"
	_ "github.com/hashicorp/hcl/v2/hclwrite"
	_ "github.com/hashicorp/hcl/v2/json"
	_ "github.com/knqyf263/go-apk-version"
	_ "github.com/knqyf263/go-deb-version"
	_ "github.com/knqyf263/go-rpm-version"
	_ "github.com/openvex/go-vex/pkg/vex"
	_ "github.com/package-url/packageurl-go"
	_ "github.com/pandatix/go-cvss/20"
	_ "github.com/pandatix/go-cvss/30"
	_ "github.com/pandatix/go-cvss/31"
	_ "github.com/pandatix/go-cvss/40"
	_ "github.com/pelletier/go-toml/v2"
	_ "github.com/spdx/tools-golang/json"
	_ "github.com/spdx/tools-golang/spdx/v2/v2_3"
	_ "github.com/zclconf/go-cty/cty"
	_ "github.com/zclconf/go-cty/cty/function/stdlib"
)
