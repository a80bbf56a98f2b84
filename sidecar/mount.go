// The addresses of pictures as clients see them: the server may take a part of the path off before
// it comes here.

package sidecar

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// maxMount bounds what becomes a part of tokens.
const maxMount = 256

// mountKey is the context's key of what was taken off the path.
type mountKey struct{}

// withMount notes what handle_path and the like took off a request's path. A client chooses its
// path: what is noted is plain, and nothing unless the rest is the path that came here.
func withMount(r *http.Request, original *url.URL, raw string) *http.Request {
	if original == nil {
		return r
	}
	path, canonical := rawPath(original)
	mount, ok := strings.CutSuffix(path, raw)
	if !ok || !canonical || mount == "" || len(mount) > maxMount {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), mountKey{}, mount))
}

// avatarPath returns the path of a picture as the client has to write it; "" for none.
func (a answers) avatarPath(ctx context.Context, hash string) string {
	if hash == "" {
		return ""
	}
	mount, _ := ctx.Value(mountKey{}).(string)
	return mount + a.base + "/avatar/" + hash + avatarExt
}
