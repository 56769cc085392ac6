// Package systemd has the unit of keywatch, the user that it runs as, and what packages
// do when they are installed and removed. Its tests have systemd judge the unit.
package systemd
