package wechatauth_test

import "net/http"

func streamingBackend(w http.ResponseWriter, r *http.Request) {}
