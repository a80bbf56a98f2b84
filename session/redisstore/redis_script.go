package session

import (
	_ "embed" // for the scripts
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed redis_common.lua
	commonLua string
	//go:embed redis_login.lua
	loginLua string
	//go:embed redis_refresh.lua
	refreshLua string
	//go:embed redis_end.lua
	endLua string
	//go:embed redis_end_all.lua
	endAllLua string
	//go:embed redis_learn.lua
	learnLua string
	//go:embed redis_forget.lua
	forgetLua string
	//go:embed redis_count.lua
	countLua string
	//go:embed redis_note.lua
	noteLua string
	//go:embed redis_swap.lua
	swapLua string
	//go:embed redis_revoke.lua
	revokeLua string
)

var (
	loginScript   = redis.NewScript(commonLua + loginLua)
	refreshScript = redis.NewScript(commonLua + refreshLua)
	endScript     = redis.NewScript(commonLua + endLua)
	endAllScript  = redis.NewScript(commonLua + endAllLua)
	learnScript   = redis.NewScript(commonLua + learnLua)
	forgetScript  = redis.NewScript(commonLua + forgetLua)
	countScript   = redis.NewScript(countLua)
	noteScript    = redis.NewScript(noteLua)
	swapScript    = redis.NewScript(swapLua)
	revokeScript  = redis.NewScript(commonLua + revokeLua)
)

// millisUp rounds up, so that nothing is over early.
func millisUp(t time.Time) int64 { return t.Add(time.Millisecond - 1).UnixMilli() }

// textList reads a script's list of texts.
func textList(reply any) ([]string, error) {
	list, ok := reply.([]any)
	if !ok {
		return nil, errDamaged
	}
	texts := make([]string, len(list))
	for i := range list {
		if texts[i], ok = list[i].(string); !ok {
			return nil, errDamaged
		}
	}
	return texts, nil
}

// hash reads a script's HGETALL.
func hash(reply any) (map[string]string, error) {
	texts, err := textList(reply)
	if err != nil || len(texts)%2 != 0 {
		return nil, errDamaged
	}
	fields := make(map[string]string, len(texts)/2)
	for i := 0; i < len(texts); i += 2 {
		fields[texts[i]] = texts[i+1]
	}
	return fields, nil
}
