// Access tokens that expire while one looks at them.

package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"go.uber.org/zap"
)

const (
	shortTTL   = 10 * time.Second
	reloadTime = 30 * time.Second
)

// reload has Caddy load its configuration with short-lived tokens, or with those it had. It must
// not run within a request: Caddy waits for all of them before it ends the old configuration.
func (g *playground) reload(ctx context.Context, short bool) {
	ctx, cancel := context.WithTimeout(ctx, reloadTime)
	defer cancel()
	g.state.reloading.Lock()
	defer g.state.reloading.Unlock()
	if err := g.changeTTL(ctx, short); err != nil {
		g.logger.Warn("the playground cannot change the lifetime of tokens", zap.Error(err))
	}
}

func (g *playground) changeTTL(ctx context.Context, short bool) error {
	text, err := g.config(ctx, http.MethodGet, nil)
	if err != nil {
		return err
	}
	var servers any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&servers); err != nil {
		return err
	}
	if !setTTL(servers, "", short, g.state.ttls) {
		return nil
	}
	if text, err = json.Marshal(servers); err != nil {
		return err
	}
	_, err = g.config(ctx, http.MethodPost, text)
	return err
}

// config reads or replaces the servers in Caddy's configuration.
func (g *playground) config(ctx context.Context, method string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+g.admin+"/config/apps/http/servers", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := (&http.Client{}).Do(req) // ctx bounds it
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s of Caddy's servers: status %d", method, res.StatusCode)
	}
	return text, err
}

// setTTL changes all handlers of wechat_auth below a part of the configuration, and reports whether
// there were any to change. What they had is kept by the path to them.
func setTTL(part any, path string, short bool, before map[string]any) (changed bool) {
	switch part := part.(type) {
	case []any:
		for i, item := range part {
			changed = setTTL(item, path+"/"+strconv.Itoa(i), short, before) || changed
		}
	case map[string]any:
		if part["handler"] == "wechat_auth" {
			return setTokenTTL(part, path, short, before)
		}
		for name, item := range part {
			changed = setTTL(item, path+"/"+name, short, before) || changed
		}
	}
	return changed
}

func setTokenTTL(handler map[string]any, path string, short bool, before map[string]any) bool {
	token, _ := handler["token"].(map[string]any)
	if token == nil {
		token = make(map[string]any)
	}
	now := json.Number(strconv.FormatInt(int64(shortTTL), 10))
	if isShort := token["ttl"] == now; isShort == short {
		return false
	}
	if short {
		before[path], token["ttl"] = token["ttl"], now
	} else if token["ttl"] = before[path]; token["ttl"] == nil {
		delete(token, "ttl")
	}
	handler["token"] = token
	return true
}
