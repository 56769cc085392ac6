package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
	"github.com/goreleaser/nfpm/v2/rpm"
)

const summary = "Real-time key-watch and compare-and-swap server"

const description = `keywatch keeps versioned keys on a durable log, changes them with
compare-and-swap, times to live, leases, locks and atomic batches, and tells
everyone who watches: in order, without a gap, from any point they last saw.
This package holds the server, the command and a unit for systemd.`

// writePackages writes a package for Debian and one for Red Hat for each Linux target.
func (r *release) writePackages(context.Context) error {
	for _, t := range r.targets {
		if t.os != "linux" {
			continue
		}
		for _, p := range []struct {
			packager nfpm.Packager
			suffix   string
			info     func(target) (*nfpm.Info, error)
		}{
			{deb.Default, "deb", r.debian}, {rpm.DefaultRPM, "rpm", r.redHat},
		} {
			info, err := p.info(t)
			if err != nil {
				return err
			}
			if err := writePackage(r.result("%s_%s.%s", t.os, t.arch, p.suffix), p.packager, info); err != nil {
				return err
			}
		}
	}
	return nil
}

func writePackage(path string, packager nfpm.Packager, info *nfpm.Info) error {
	if err := nfpm.PrepareForPackager(info, packager.(nfpm.PackagerWithExtension).ConventionalExtension()[1:]); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := packager.Package(info, f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// debian is the package for Debian.
func (r *release) debian(t target) (*nfpm.Info, error) {
	info, err := r.pack(t, "debian")
	if err != nil {
		return nil, err
	}
	info.Deb.Compression = "xz"
	info.Description = summary + "\n" + description
	info.Depends = []string{"systemd | systemd-standalone-sysusers | systemd-sysusers"}
	copyright, err := r.copyright(t)
	if err != nil {
		return nil, err
	}
	changelog, upstream, err := r.changelogs()
	if err != nil {
		return nil, err
	}
	info.Contents = append(info.Contents,
		packed(copyright, "/usr/share/doc/keywatch/copyright", 0o644),
		packed(changelog, "/usr/share/doc/keywatch/changelog.Debian.gz", 0o644),
		packed(upstream, "/usr/share/doc/keywatch/changelog.gz", 0o644),
		packed(filepath.Join(r.Root, "deploy/systemd/debian/lintian-overrides"), "/usr/share/lintian/overrides/keywatch", 0o644),
	)
	return info, nil
}

// redHat is the package for Red Hat.
func (r *release) redHat(t target) (*nfpm.Info, error) {
	info, err := r.pack(t, "redhat")
	if err != nil {
		return nil, err
	}
	info.RPM.BuildHost = "localhost"
	info.RPM.Summary = summary
	info.Depends = []string{"systemd"}
	for _, c := range info.Contents {
		// Where zsh of those systems looks.
		c.Destination = strings.Replace(c.Destination, "/zsh/vendor-completions/", "/zsh/site-functions/", 1)
	}
	info.Contents = append(info.Contents, packed(filepath.Join(r.Root, "LICENSE"), "/usr/share/licenses/keywatch/LICENSE", 0o644))
	return info, nil
}

// pack is what packages of both kinds have. The folder below deploy/systemd has their
// scripts.
func (r *release) pack(t target, scripts string) (*nfpm.Info, error) {
	unit := func(name string) string { return filepath.Join(r.Root, "deploy/systemd", name) }
	script := func(name string) string { return unit(scripts + "/" + name) }
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "keywatch", Arch: t.arch, Platform: "linux", Version: r.number, Release: "1",
		Section: "database", Priority: "optional", Maintainer: r.Maintainer, Description: description,
		License: "Apache-2.0", MTime: r.time, DisableGlobbing: true,
	})
	info.Contents = files.Contents{
		packed(r.binary(t), "/usr/bin/keywatch", 0o755),
		packed(unit("keywatch.service"), "/usr/lib/systemd/system/keywatch.service", 0o644),
		packed(unit("keywatch.sysusers"), "/usr/lib/sysusers.d/keywatch.conf", 0o644),
		packed(filepath.Join(r.work, "NOTICE_"+t.os+"_"+t.arch), "/usr/share/doc/keywatch/NOTICE", 0o644),
	}
	settings := packed(unit("keywatch.default"), "/etc/default/keywatch", 0o644)
	settings.Type = files.TypeConfigNoReplace
	info.Contents = append(info.Contents, settings)
	for _, d := range documents {
		path := filepath.Join(r.work, d.name)
		if filepath.Ext(d.path) == ".gz" {
			if err := compressFile(path, path+".gz"); err != nil {
				return nil, err
			}
			path += ".gz"
		}
		info.Contents = append(info.Contents, packed(path, d.path, 0o644))
	}
	info.Scripts = nfpm.Scripts{PostInstall: script("postinstall"), PreRemove: script("preremove"), PostRemove: script("postremove")}
	return info, nil
}

func packed(from, to string, mode os.FileMode) *files.Content {
	return &files.Content{Source: from, Destination: to, FileInfo: &files.ContentFileInfo{Mode: mode, Owner: "root", Group: "root"}}
}

func compressFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if data, err = compressed(data); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}
