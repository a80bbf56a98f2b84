// getOpenData and cloudIDs.

package wechattest

// CloudID does what the getPhoneNumber button does in a mini program that uses
// cloud development: it gives a cloudID beside the code. Phone numbers are
// written as for PhoneCode. A cloudID lives five minutes.
func (s *Server) CloudID(u *User, phone string) string {
	number := mustParsePhone(phone)
	s.mu.Lock()
	defer s.mu.Unlock()
	// Real ones look so, with a number that grows over the years in front.
	value := "50_" + letters(60)
	return s.issue(&code{value: value, kind: cloudKind, user: u, number: number})
}

// OpenDataObjects sets in which of two documented forms the data of cloudIDs
// comes: as an object, or, the default, as a string that holds one in JSON.
func (s *Server) OpenDataObjects(objects bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects = objects
}

// openData answers getOpenData, see
// https://developers.weixin.qq.com/miniprogram/dev/server/API/cloudbase/others/api_getopendata
func (s *Server) openData(q *request) answer {
	if refusal := s.wantJSON(q); refusal != nil {
		return *refusal
	}
	a, refusal := s.checkToken(q)
	if refusal != nil {
		return *refusal
	}
	if !s.quotas.take(s.now(), OpenData, a.ID) {
		return s.fail(errMinuteQuota)
	}
	u, refusal := s.userOf(a, q.query.Get("openid"))
	if refusal != nil {
		return *refusal
	}
	list, ok := q.json["cloudid_list"].([]any)
	if !ok || len(list) == 0 {
		return s.fail(errInvalidArgs)
	}

	entries := []any{}
	for _, item := range list {
		id, ok := item.(string)
		if !ok {
			return s.fail(errMalformedInput)
		}
		if entry := s.openEntry(u, id); entry != nil {
			entries = append(entries, entry)
		}
	}
	return answer{body: map[string]any{"errcode": 0, "errmsg": "ok", "data_list": entries}}
}

// openEntry returns the data of one cloudID. WeChat does not document its answer to one that is
// unknown, too old or another user's, so several forms take turns; nil is no entry at all.
func (s *Server) openEntry(u *User, id string) map[string]any {
	entry := map[string]any{"cloud_id": id}
	c, ok := s.liveCode(id, cloudKind)
	if ok && c.user == u {
		entry["json"] = s.openForm(map[string]any{"cloudID": id, "data": s.phoneInfo(c)})
		return entry
	}
	failed := map[string]any{"cloudID": id, "errCode": -1, "errMsg": "invalid cloudID"}
	return turn(&s.turns.noData,
		nil,
		map[string]any{"cloud_id": id, "json": ""},
		map[string]any{"cloud_id": id, "json": s.openForm(failed)},
	)
}

func (s *Server) openForm(data map[string]any) any {
	if s.objects {
		return data
	}
	return string(encode(data))
}
