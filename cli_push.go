// The operator's command about pushes that wait for the backend.

package wechatauth

import (
	"fmt"
	"net/http"
	"time"
)

type pushList struct {
	Pushes []struct {
		ID      string    `json:"id"`
		AppID   string    `json:"appid"`
		Kind    string    `json:"kind"`
		Since   time.Time `json:"since"`
		Tries   int       `json:"tries"`
		Next    time.Time `json:"next"`
		Sending bool      `json:"sending"`
	} `json:"pushes"`
}

func pushes(a admin) error {
	if id := a.String("repeat"); id != "" {
		if _, err := a.call(http.MethodPost, "pushes", nil, map[string]string{"id": id}); err != nil {
			return err
		}
		return printDone(a.Flags, "it is tried now, or the push of its user that comes before it")
	}
	answer, err := a.call(http.MethodGet, "pushes", nil, nil)
	if err != nil {
		return err
	}
	return printAnswer(a, answer, pushLines)
}

func pushLines(list pushList) []string {
	if len(list.Pushes) == 0 {
		return []string{"no push waits"}
	}
	lines := []string{"ID\tAPP\tKIND\tSINCE\tTRIES\tNEXT TRY"}
	for _, p := range list.Pushes {
		next := shown(p.Next)
		if p.Sending {
			next = "now"
		}
		lines = append(lines, fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%s", p.ID, p.AppID, p.Kind, shown(p.Since), p.Tries, next))
	}
	return lines
}
