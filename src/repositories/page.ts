/** Some of many rows, and where to go on. */
export interface Page<Row, Position> {
  readonly rows: readonly Row[]
  /** Where the next page begins; `undefined` after the last one. */
  readonly next: Position | undefined
}

/** A page of the rows a statement with a limit found: a full one is followed by another. */
export function pageOf<Row, Position>(
  rows: readonly Row[],
  limit: number,
  position: (last: Row) => Position,
): Page<Row, Position> {
  const last = rows.at(-1)
  return { rows, next: last === undefined || rows.length < limit ? undefined : position(last) }
}
