package web

import (
	"strconv"

	"keywatch/kv"
	"keywatch/kv/kvjson"
	"keywatch/web/api"
)

// deletePrefix answers DELETE of all keys with a prefix.
func (r *request) deletePrefix() error {
	if err := r.unconditional(fieldIfMatch, fieldIfNoneMatch); err != nil {
		return err
	}
	c, err := r.write()
	if err != nil {
		return err
	}
	prefix, has, err := r.params.take("prefix")
	if err != nil {
		return err
	}
	all, err := r.params.flag("all", false)
	if err != nil {
		return err
	}
	if err := r.params.done(); err != nil {
		return err
	}
	if !has || prefix == "" && !all {
		return api.Refuse(api.CodePrefixRequired, "parameter prefix is required; to delete every key send prefix= and all=1")
	}
	if err := kv.CheckPrefix(prefix); err != nil {
		return err
	}
	c.Prefix = &prefix
	result, err := r.do(&c, 1)
	if err != nil {
		return err
	}
	r.out = append(r.out[:0], `{"deleted":`...)
	r.out = strconv.AppendInt(r.out, int64(result.Deleted), 10)
	r.out = kvjson.AppendNumber(append(r.out, ','), "rev", uint64(result.Rev))
	r.out = append(r.out, '}')
	r.json(200)
	return nil
}
