package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	kw "keywatch/client"

	"keywatch/app"
)

// clusterCmd is about the servers that have the same store.
type clusterCmd struct {
	Status   clusterStatusCmd   `cmd:"" help:"Print the members, and how they do."`
	Token    clusterTokenCmd    `cmd:"" help:"Draw the secret that the servers of a cluster share."`
	Promote  clusterPromoteCmd  `cmd:"" help:"Make a member a voter."`
	Remove   clusterRemoveCmd   `cmd:"" help:"Take a member out for good."`
	Transfer clusterTransferCmd `cmd:"" help:"Have another voter lead."`
	Recover  clusterRecoverCmd  `cmd:"" help:"Make the folder of a stopped member a new cluster: for where most voters are gone for good."`
}

// Help is printed by keywatch cluster --help.
func (*clusterCmd) Help() string {
	return `
A cluster begins with one server that has --peer-listen, or with three that have the
same --join and --expect 3. A server joins by its flags: see keywatch serve --help.
Each of these commands may be sent to any member, but for token and recover, which need no server.

Examples:

    keywatch cluster token > peer.token
    keywatch serve --peer-listen=10.0.0.1:7072 --peer-token-file=peer.token --name=n1
    keywatch serve --peer-listen=10.0.0.2:7072 --peer-token-file=peer.token --name=n2 --join=10.0.0.1:7072
    keywatch cluster status
`
}

// clusterTokenCmd draws a token.
type clusterTokenCmd struct{}

// Help is printed by keywatch cluster token --help.
func (*clusterTokenCmd) Help() string {
	return `
Prints 256 random bits. Each process that has them can be a member, and is given all values and
what seals the records of users: keep the file readable by the server only. A file may hold two tokens: the first signs, both are accepted. To change
the token without a stop give all servers the new one as second, then as first, then
alone.

Examples:

    (umask 077; keywatch cluster token > peer.token)
`
}

// Run prints a token.
func (*clusterTokenCmd) Run(s *session) error { return s.printf("%s\n", app.NewPeerToken()) }

// clusterStatusCmd prints the members.
type clusterStatusCmd struct{}

// Help is printed by keywatch cluster status --help.
func (*clusterStatusCmd) Help() string {
	return `
Prints a line for each member: its role, its state, how far it is behind the leader, and
where it is reached. -o json has all that the server says.

Examples:

    keywatch cluster status
    keywatch cluster status --server=http://10.0.0.2:7070 -o json
`
}

// clusterAnswer is what is printed of /v1/cluster.
type clusterAnswer struct {
	Cluster, Leader, Copies, From string
	Term                          uint64
	Tolerates                     int
	Members                       []struct {
		ID, Name, Role, State, URL, Peer, Version string
		LagMS                                     int64 `json:"lag_ms"`
		Behind                                    uint64
		Room                                      bool
		DiskFree                                  int64 `json:"disk_free"`
	}
}

// Run prints the members.
func (*clusterStatusCmd) Run(s *session) error {
	got, err := s.kw.Do(s.ctx, &kw.Request{Path: "/v1/cluster"})
	if err != nil {
		return err
	}
	if s.json() {
		return s.printJSON(got.Body)
	}
	var a clusterAnswer
	if err := decode(got.Body, &a); err != nil {
		return err
	}
	return a.print(s)
}

func (a *clusterAnswer) print(s *session) error {
	leader := a.Leader
	if leader == "" {
		leader = "none is known"
	}
	if len(a.Members) == 1 && a.Members[0].ID == "" {
		return s.printf("one server, which is alone: cluster %s\n", a.Cluster)
	}
	if err := s.printf("cluster %s  leader %s  term %d  copies %s, %d may end\n", a.Cluster, leader, a.Term, a.Copies, max(0, a.Tolerates)); err != nil {
		return err
	}
	table := tabwriter.NewWriter(s.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tROLE\tSTATE\tLAG\tBEHIND\tFREE\tURL\tPEER\tVERSION\tID")
	for _, m := range a.Members {
		lag := "-"
		if m.LagMS >= 0 {
			lag = (time.Duration(m.LagMS) * time.Millisecond).String()
		}
		free := "-"
		if m.DiskFree >= 0 {
			free = sizeText(m.DiskFree)
		}
		if !m.Room && m.State != "unreachable" {
			free = "full"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", m.Name, m.Role, m.State, lag, m.Behind, free, m.URL, m.Peer, m.Version, m.ID)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if a.From != "" {
		s.message("the leader did not answer: this is what %s knows", a.From)
	}
	return nil
}

// clusterPromoteCmd makes a member a voter.
type clusterPromoteCmd struct {
	Node string `arg:"" help:"Name or id of the member."`
	Now  bool   `help:"Although voters are an even number then."`
}

// Help is printed by keywatch cluster promote --help.
func (*clusterPromoteCmd) Help() string {
	return `
A server that joins becomes a voter once it has caught up and voters stay an odd number:
the second waits for the third. This makes an observer a voter, or, with --now, a server
that waits.

Examples:

    keywatch cluster promote n2 --now
`
}

// Run promotes.
func (c *clusterPromoteCmd) Run(s *session) error {
	return s.changeMembers("promote", map[string]any{"node": c.Node, "now": c.Now})
}

// clusterRemoveCmd takes a member out.
type clusterRemoveCmd struct {
	Node string `arg:"" help:"Name or id of the member."`
}

// Help is printed by keywatch cluster remove --help.
func (*clusterRemoveCmd) Help() string {
	return `
The member is told, and may not return: it ends its streams, and does not start again
with its data folder. It is refused if too few of the voters that stay are reachable.
A leader hands over first.

Examples:

    keywatch cluster remove n3
`
}

// Run removes.
func (c *clusterRemoveCmd) Run(s *session) error {
	return s.changeMembers("remove", map[string]any{"node": c.Node})
}

// clusterTransferCmd has another voter lead.
type clusterTransferCmd struct {
	Node string `arg:"" optional:"" help:"Name or id of the voter; by default the one that is furthest along."`
}

// Help is printed by keywatch cluster transfer --help.
func (*clusterTransferCmd) Help() string {
	return `
Writes wait for a moment meanwhile, and none is lost.

Examples:

    keywatch cluster transfer
    keywatch cluster transfer n2
`
}

// Run transfers.
func (c *clusterTransferCmd) Run(s *session) error {
	return s.changeMembers("transfer", map[string]any{"node": c.Node})
}

// changeMembers has the cluster change, and prints nothing but failures.
func (s *session) changeMembers(op string, body map[string]any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, err = s.kw.Do(s.ctx, &kw.Request{
		Method: http.MethodPost, Path: "/v1/cluster/" + op, Body: b, Header: http.Header{"Content-Type": {"application/json"}},
	})
	return err
}
