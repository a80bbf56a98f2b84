// Clusters and sentinels.

package redistest

import (
	"net"
	"strings"
	"testing"
)

// Cluster is a Redis Cluster of three nodes without replicas.
type Cluster struct {
	Nodes []*Server
	URLs  []string // for redisstore.Config
}

// busPort stands in a configuration for a free port, chosen when the server starts.
const busPort = "$BUS"

// StartCluster runs a cluster.
func StartCluster(t testing.TB) *Cluster {
	t.Helper()
	c := &Cluster{}
	slots := [][2]int{{0, 5460}, {5461, 10922}, {10923, 16383}}
	for i := range slots {
		node := Start(t, "cluster-enabled yes", "cluster-port "+busPort, "cluster-node-timeout 2000")
		node.Do(t, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
		node.Do(t, "CLUSTER", "ADDSLOTSRANGE", slots[i][0], slots[i][1])
		host, port, _ := net.SplitHostPort(node.Addr)
		for _, earlier := range c.Nodes { // each: hearsay would take seconds
			earlier.Do(t, "CLUSTER", "MEET", host, port, node.bus)
		}
		c.Nodes, c.URLs = append(c.Nodes, node), append(c.URLs, node.URL)
	}
	eventually(t, "the cluster's nodes know each other", func() bool {
		for _, node := range c.Nodes {
			info, err := node.try("CLUSTER", "INFO")
			text, _ := info.(string)
			if err != nil || !strings.Contains(text, "cluster_state:ok") || !strings.Contains(text, "cluster_known_nodes:3") {
				return false
			}
		}
		return true
	})
	return c
}

// Sentinel is a master with one replica, and the sentinel that watches both.
type Sentinel struct {
	Master, Replica, Sentinel *Server
	URL                       string // for redisstore.Config
}

// StartSentinel runs a master, a replica and a sentinel that takes a master for dead within a
// second.
func StartSentinel(t testing.TB) *Sentinel {
	t.Helper()
	s := &Sentinel{Master: Start(t)}
	host, port, _ := net.SplitHostPort(s.Master.Addr)
	s.Replica = Start(t, "replicaof "+host+" "+port)
	client := s.Master.Client()
	defer client.Close()
	conn := client.Conn() // WAIT is about what its own connection wrote
	defer conn.Close()
	eventually(t, "the replica has what is written", func() bool {
		err := conn.Publish(t.Context(), "redistest", "").Err() // replicas get it, and nothing stays
		return err == nil && conn.Wait(t.Context(), 1, patience/100).Val() == 1
	})
	s.Sentinel = start(t, "--sentinel", []string{
		"sentinel monitor main " + host + " " + port + " 1",
		"sentinel down-after-milliseconds main 500", "sentinel failover-timeout main 3000",
	})
	s.URL = "redis+sentinel://" + s.Sentinel.Addr + "/main"
	eventually(t, "the sentinel knows the replica", func() bool {
		info, err := s.Sentinel.try("INFO", "sentinel")
		text, _ := info.(string)
		return err == nil && strings.Contains(text, "status=ok") && strings.Contains(text, "slaves=1")
	})
	return s
}
