package app

import "github.com/prometheus/client_golang/prometheus"

// addObjects adds the figures of object storage.
func (c *collector) addObjects() {
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	for _, m := range []struct {
		name, help string
		kind       prometheus.ValueType
		value      func(*ObjectStatus) float64
	}{
		{"keywatch_object_segments", "Segments that keys refer to.", gauge, func(o *ObjectStatus) float64 { return float64(o.Segments) }},
		{"keywatch_object_live_bytes", "Bytes of values in them.", gauge, func(o *ObjectStatus) float64 { return float64(o.LiveBytes) }},
		{"keywatch_object_stored_bytes", "Bytes of all segments when they were last listed.", gauge, func(o *ObjectStatus) float64 { return float64(o.StoredBytes) }},
		{"keywatch_object_segments_dead", "Segments that wait to be deleted.", gauge, func(o *ObjectStatus) float64 { return float64(o.Dead) }},
		{"keywatch_object_segments_missing", "Segments that keys refer to and that are lost.", gauge, func(o *ObjectStatus) float64 { return float64(o.Missing) }},
		{"keywatch_object_waiting", "1 while moving values fails and is tried again.", gauge, func(o *ObjectStatus) float64 { return flag(o.Waiting != "") }},
		{"keywatch_object_waiting_values", "Values that were due when it failed and stayed where they were.", gauge, func(o *ObjectStatus) float64 { return float64(o.WaitingValues) }},
		{"keywatch_object_waiting_bytes", "Bytes of them.", gauge, func(o *ObjectStatus) float64 { return float64(o.WaitingBytes) }},
		{"keywatch_object_live_share", "The part of the stored bytes that is alive.", gauge, func(o *ObjectStatus) float64 { return o.LiveShare }},
		{"keywatch_object_moves_total", "Times that values were moved.", counter, func(o *ObjectStatus) float64 { return float64(o.Moves) }},
		{"keywatch_object_moved_total", "Values moved to object storage, or within it.", counter, func(o *ObjectStatus) float64 { return float64(o.Moved) }},
		{"keywatch_object_moved_bytes_total", "Bytes of them.", counter, func(o *ObjectStatus) float64 { return float64(o.MovedBytes) }},
		{"keywatch_object_uploads_total", "Segments stored.", counter, func(o *ObjectStatus) float64 { return float64(o.Uploads) }},
		{"keywatch_object_deleted_total", "Segments deleted.", counter, func(o *ObjectStatus) float64 { return float64(o.Deleted) }},
		{"keywatch_object_errors_total", "Attempts at moving or tidying that failed.", counter, func(o *ObjectStatus) float64 { return float64(o.Errors) }},
	} {
		c.add(m.name, m.help, m.kind, func(s *Status) float64 { return m.value(s.Objects) })
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
