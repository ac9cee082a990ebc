import type { Operations } from '../database/operations.js'
import type { Page } from '../repositories/page.js'

/**
 * Reads page after page. Each is an operation of its own: it is repeated after a failure without beginning anew,
 * and no connection is held while the caller is at work.
 */
export async function* readPages<Row, Position>(
  operations: Operations,
  operation: string,
  read: (position: Position | undefined) => Promise<Page<Row, Position>>,
): AsyncGenerator<Row, void, undefined> {
  let position: Position | undefined
  do {
    const from = position
    const page = await operations.run(operation, () => read(from))
    yield* page.rows
    position = page.next
  } while (position !== undefined)
}
