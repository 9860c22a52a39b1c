package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
)

// A backup may come from anybody. A database can hold statements of its own, as in triggers and views, that run
// with those of earshot. What is restored has only those that earshot has made.

// originSince is the version of the schema from which on there is a table origin.
const originSince = 13

// maxBackupFile is how large a file in a backup may be.
const maxBackupFile = 1 << 20

var (
	errForeignSchema = errors.New("it has tables, triggers or views that aren't earshot's")
	errMisshapen     = errors.New("there are keys or ids in it that can't be any")
)

// schema returns what the database is made of: the statements by what they make.
func (k *conn) schema() (all map[[3]string]string, err error) {
	all = map[[3]string]string{}
	err = k.each(`SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema`, nil, func(scan func(...any) error) error {
		var what [3]string
		var statement string
		err := scan(&what[0], &what[1], &what[2], &statement)
		all[what] = statement
		return err
	})
	return all, err
}

// unchanged fails when a backup's schema of that version isn't the one that earshot makes.
func (k *conn) unchanged(ctx context.Context, version int) error {
	own, err := connectTo("backup", "mode=memory")
	if err != nil {
		return err
	}
	defer own.close()
	for _, statements := range append(migrations[:version:version], backupTable) {
		if _, err := own.c.ExecContext(ctx, statements); err != nil {
			return err
		}
	}
	want, err := own.schema()
	if err != nil {
		return err
	}
	got, err := k.schema()
	if err == nil && !maps.Equal(got, want) {
		err = errForeignSchema
	}
	return err
}

// shapely fails when something in the database hasn't the size on which everything here relies.
func (k *conn) shapely(version int) error {
	type column struct {
		table, name string
		size        int
	}
	columns := []column{{"people", "key", 32}, {"messages", "id", 16}}
	if version >= originSince {
		columns = append(columns, column{"origin", "id", 16})
	}
	for _, c := range columns {
		var bad bool
		err := k.get(fmt.Sprintf(`SELECT EXISTS (SELECT 1 FROM %s WHERE typeof(%s) <> 'blob' OR length(%[2]s) <> %d)`, c.table, c.name, c.size), nil, &bad)
		if err == nil && bad {
			err = fmt.Errorf("%w: %s.%s", errMisshapen, c.table, c.name)
		}
		if err != nil {
			return err
		}
	}
	if version < originSince {
		return nil
	}
	var rows int
	err := k.get(`SELECT count(*) FROM origin`, nil, &rows)
	if err == nil && rows != 1 {
		err = fmt.Errorf("%w: origin", errMisshapen)
	}
	return err
}
