package certs

import "github.com/prometheus/client_golang/prometheus"

var (
	expiryDesc = prometheus.NewDesc("keywatch_tls_certificate_expiry_seconds",
		"Time until the certificate that is served expires; negative once it has.", nil, nil)
	failedDesc = prometheus.NewDesc("keywatch_tls_reload_failed",
		"1 while the files of the certificate cannot be used, so that an earlier one is served.", nil, nil)
)

// Describe implements prometheus.Collector.
func (k *Keeper) Describe(ch chan<- *prometheus.Desc) { ch <- expiryDesc; ch <- failedDesc }

// Collect implements prometheus.Collector.
func (k *Keeper) Collect(ch chan<- prometheus.Metric) {
	left := k.Certificate().NotAfter.Sub(k.opts.Now())
	ch <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, left.Seconds())
	failed := 0.0
	if k.failed() != nil {
		failed = 1
	}
	ch <- prometheus.MustNewConstMetric(failedDesc, prometheus.GaugeValue, failed)
}
