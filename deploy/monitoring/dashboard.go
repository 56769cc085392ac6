// Package monitoring has what watches keywatch: alert rules for Prometheus with their tests,
// and a dashboard for Grafana. Its tests compare what they name with what a server exports,
// and have a real Prometheus evaluate them.
package monitoring

import (
	"encoding/json"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
	"github.com/grafana/grafana-foundation-sdk/go/units"
)

// Dashboard returns the dashboard as JSON, as Grafana imports it.
func Dashboard() ([]byte, error) {
	//lint:ignore SA1019 Each Grafana imports this form; the next one needs a recent Grafana.
	b := dashboard.NewDashboardBuilder("keywatch").
		Uid("keywatch").
		Description("Servers of keywatch: how quick they are, what they hold, how near their limits are.").
		Tags([]string{"keywatch"}).
		Timezone("browser").Refresh("30s").Time("now-1h", "now").
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(dashboard.NewQueryVariableBuilder("instance").Label("Server").
			Datasource(source()).
			Query(dashboard.StringOrMap{String: cog.ToPtr(`label_values(up{job="keywatch"}, instance)`)}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).
			Sort(dashboard.VariableSortAlphabeticalAsc).
			Multi(true).IncludeAll(true).AllValue(".*"))
	for _, row := range rows {
		b = b.WithRow(dashboard.NewRowBuilder(row.title))
		for _, p := range row.panels {
			b = b.WithPanel(p.build())
		}
	}
	made, err := b.Build()
	if err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(made, "", "  ")
	return append(text, '\n'), err
}

// source is the data source that the viewer chooses.
func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}
}

// A row is a part of the dashboard.
type row struct {
	title  string
	panels []panel
}

// A panel draws one quantity, each line of it by an expression.
type panel struct {
	title string // says what is drawn, and what is good
	about string // what to do if it is not
	unit  string
	lines []line
}

// A line is an expression and the name of each of its series.
type line struct{ expr, name string }

func (p panel) build() cog.Builder[dashboard.Panel] {
	b := timeseries.NewPanelBuilder().
		Title(p.title).Description(p.about).Unit(p.unit).Datasource(source()).
		Min(0).Span(12).Height(7).FillOpacity(8).LineWidth(1).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom)).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
	for _, l := range p.lines {
		b = b.WithTarget(prometheus.NewDataqueryBuilder().Expr(l.expr).LegendFormat(l.name).Range().Datasource(source()))
	}
	return b
}

// The units of panels.
const (
	seconds   = units.Seconds
	bytes     = units.BytesIEC
	share     = units.PercentUnit
	count     = units.Short
	perSecond = "ops"
)
