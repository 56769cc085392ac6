package browser_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"keywatch/test/gate"
)

// shot keeps a picture of the page where KEYWATCH_SCREENSHOTS names a folder,
// for people to look at.
func (p *tab) shot(name string) {
	p.t.Helper()
	folder := os.Getenv("KEYWATCH_SCREENSHOTS")
	if folder == "" {
		return
	}
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *tab) theme(name string) {
	p.t.Helper()
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}}
	p.run(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, media)
		return err
	}))
}

// If the page did not fit, in either theme and on a phone, people would have to
// scroll sideways to read it.
func TestProofPageFits(t *testing.T) {
	gate.Long(t)
	s := newServer(t)
	names := []string{"boiler/temperature", "boiler/pressure", "roof/wind", "roof/humidity", "lab/co2"}
	for i := range 25 {
		for j, n := range names {
			s.put("sensors/"+n, fmt.Sprintf("%.1f", 20+float64(j)*7+float64((i*(j+3))%11)))
		}
	}
	s.put("config/app", `{"feature":{"dark":true,"limit":20},"hosts":["a.example","b.example"]}`)
	s.do("PUT", "/v1/kv/sessions%2F9f2c?ttl=10m", "user=17")
	s.put("deploy/version", "v2.14.1")
	p := newTab(t, nil)
	for _, look := range []struct {
		name          string
		width, height int64
		mobile        bool
	}{{"light", 1280, 800, false}, {"dark", 1280, 800, false}, {"phone", 390, 800, true}} {
		p.run(chromedp.EmulateViewport(look.width, look.height, func(m *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
			m.Mobile = look.mobile
		}))
		theme := look.name
		if theme == "phone" {
			theme = "light"
		}
		p.theme(theme)
		p.run(chromedp.Navigate(s.url + "/"))
		p.until(`document.querySelectorAll('.row:not([hidden])').length >= 9`)
		for i := range 12 {
			s.put("sensors/boiler/temperature", fmt.Sprintf("%.1f", 21+float64(i*i%7)))
			s.put("sensors/roof/wind", fmt.Sprintf("%.1f", 4+float64(i*5%6)))
		}
		p.until(`document.querySelectorAll('.tile:not([hidden])').length >= 6`)
		p.fits(look.name)
		p.shot(look.name)
		p.eval(`void (location.hash = '#sensors%2Fboiler%2Ftemperature')`)
		p.until(`document.querySelector('#detail .facts dd')?.textContent > '1'`)
		for i := range 6 {
			s.put("sensors/boiler/temperature", fmt.Sprintf("%.1f", 22+float64(i*i%5)))
		}
		p.until(`document.querySelectorAll('.changes li').length >= 6`)
		p.fits(look.name + " with a key")
		p.shot(look.name + "-key")
	}
	p.clean()
}

func (p *tab) fits(what string) {
	p.t.Helper()
	if excess := value[int](p, `document.documentElement.scrollWidth - innerWidth`); excess > 0 {
		p.t.Errorf("%s: the page is %d pixels too wide", what, excess)
	}
	if cut := value[string](p, `[...document.querySelectorAll('button')].filter(b => b.getBoundingClientRect().right > innerWidth && !b.closest('#figures')).map(b => b.id).join(' ')`); cut != "" {
		p.t.Errorf("%s: buttons reach beyond the page: %s", what, cut)
	}
}

// If the page's policy did not hold, a mistake in showing a value could run as
// a script. That a breach is reported shows that the other tests would see one.
func TestPolicyHolds(t *testing.T) {
	s := newServer(t)
	p := open(t, s)
	p.clean()
	p.eval(`void (() => {
		const script = document.createElement('script')
		script.textContent = 'window.pwned = 1'
		document.body.append(script)
		document.body.setAttribute('style', 'color: red')
	})()`)
	if value[bool](p, `window.pwned === 1 || document.body.style.color === 'red'`) {
		t.Error("a script or style in the page took effect")
	}
	gate.Until(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.mu.problems) >= 2
	}, "the two breaches were not reported")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.problems = nil
}
