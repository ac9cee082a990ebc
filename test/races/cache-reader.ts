// A process with little memory that reads a large cache.
import { MySQLAdapter } from 'goscope-mysql'
import { childArgument } from '../support/child-process.js'

/** What the process is told: where to read, and how. */
export interface ReadOrder {
  readonly url: string
  readonly method: 'entries' | 'scan'
}

/** What it read: how many rows, and where the first was that was not as expected. */
export interface ReadReport {
  readonly rows: number
  readonly wrong?: string
}

const { url, method } = childArgument<ReadOrder>()
const state = new MySQLAdapter(url)
let rows = 0
let wrong: string | undefined
for await (const [key, value] of method === 'entries' ? state.cache.entries<{ n: number }>() : keys()) {
  const isExpected = key === `row ${1_000_000 + rows}` && (value === undefined || value.n === rows)
  if (!isExpected) wrong ??= `${key} after ${rows} rows`
  rows++
}
process.send?.({ rows, ...(wrong !== undefined && { wrong }) } satisfies ReadReport)
await state.disconnect()
process.disconnect()

async function* keys(): AsyncGenerator<[string, undefined]> {
  for await (const key of state.cache.scan()) yield [key, undefined]
}
