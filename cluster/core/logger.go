package core

import (
	"fmt"
	"log/slog"

	"go.etcd.io/raft/v3"
)

// logger hands Raft's own lines on. What it calls information is for debugging here: it tells of
// each start.
type logger struct{ log *slog.Logger }

var _ raft.Logger = logger{}

func (l logger) Debug(v ...any) { l.log.Debug("raft: " + fmt.Sprint(v...)) }
func (l logger) Debugf(format string, v ...any) {
	l.log.Debug("raft: " + fmt.Sprintf(format, v...))
}
func (l logger) Info(v ...any)                 { l.Debug(v...) }
func (l logger) Infof(format string, v ...any) { l.Debugf(format, v...) }
func (l logger) Warning(v ...any)              { l.log.Warn("raft: " + fmt.Sprint(v...)) }
func (l logger) Warningf(format string, v ...any) {
	l.log.Warn("raft: " + fmt.Sprintf(format, v...))
}
func (l logger) Error(v ...any) { l.log.Error("raft: " + fmt.Sprint(v...)) }
func (l logger) Errorf(format string, v ...any) {
	l.log.Error("raft: " + fmt.Sprintf(format, v...))
}

// Fatal, Fatalf, Panic and Panicf panic: the owner of the core turns that into an error that
// ends the process.
func (logger) Fatal(v ...any)                 { panic(fmt.Sprint(v...)) }
func (logger) Fatalf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
func (logger) Panic(v ...any)                 { panic(fmt.Sprint(v...)) }
func (logger) Panicf(format string, v ...any) { panic(fmt.Sprintf(format, v...)) }
