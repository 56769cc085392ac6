package jwt

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	keysDesc = prometheus.NewDesc("keywatch_jwt_keys", "Keys that JWTs are verified with.", nil, nil)
	ageDesc  = prometheus.NewDesc("keywatch_jwt_keys_age_seconds",
		"Time since the keys of JWTs were last read from their file or URL; there is none before the first time.", nil, nil)
	failedDesc = prometheus.NewDesc("keywatch_jwt_keys_failing",
		"1 while the keys of JWTs cannot be read: those of before are used for a day.", nil, nil)
	readsDesc  = prometheus.NewDesc("keywatch_jwt_keys_reads_total", "Reads of the keys of JWTs, by how they ended.", []string{"result"}, nil)
	verifyDesc = prometheus.NewDesc("keywatch_jwt_verifications_total",
		"Signatures of JWTs that were verified: good or wrong; refused were not, because there were too many wrong ones or too many at once.", []string{"result"}, nil)
)

// counts are figures since the start.
type counts struct{ read, failed, good, wrong, refused atomic.Uint64 }

// Describe implements prometheus.Collector.
func (k *Keys) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{keysDesc, ageDesc, failedDesc, readsDesc, verifyDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (k *Keys) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.MustNewConstMetric(keysDesc, prometheus.GaugeValue, float64(k.Len()))
	if last := k.last.Load(); last != 0 {
		ch <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, float64(k.opts.Now().UnixMilli()-last)/1000)
	}
	failed := 0.0
	if k.failed() != nil {
		failed = 1
	}
	ch <- prometheus.MustNewConstMetric(failedDesc, prometheus.GaugeValue, failed)
	for _, c := range []struct {
		desc   *prometheus.Desc
		result string
		n      *atomic.Uint64
	}{
		{readsDesc, "good", &k.counts.read}, {readsDesc, "failed", &k.counts.failed},
		{verifyDesc, "good", &k.counts.good}, {verifyDesc, "wrong", &k.counts.wrong}, {verifyDesc, "refused", &k.counts.refused},
	} {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(c.n.Load()), c.result)
	}
}
