package main

import (
	"bytes"
	"os"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/generate/bin"
	"github.com/rs/zerolog"
)

// writeComponents writes what is in the binary for t as CycloneDX. The list is made of the
// binary, not of go.mod: it has what was linked, and nothing else. It has neither a
// serial number nor a time, which would differ in each build.
func (r *release) writeComponents(t target, modules []module) error {
	generator, err := bin.NewGenerator(r.binary(t), bin.WithIncludeStdlib(true), bin.WithVersionOverride(r.Version), bin.WithLogger(zerolog.Nop()))
	if err != nil {
		return err
	}
	bom, err := generator.Generate()
	if err != nil {
		return err
	}
	bom.Metadata.Component.Licenses = licensed("Apache-2.0")
	for i, c := range *bom.Components {
		for _, m := range modules {
			if m.path == c.Name {
				(*bom.Components)[i].Licenses = licensed(m.licence)
			}
		}
	}
	var b bytes.Buffer
	if err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return err
	}
	return os.WriteFile(r.result("%s_%s.cdx.json", t.os, t.arch), b.Bytes(), 0o644)
}

func licensed(id string) *cdx.Licenses {
	return &cdx.Licenses{{License: &cdx.License{ID: id}}}
}
