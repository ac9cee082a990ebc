// One of several processes whose callers all want the same value, and which makes it when it is told to.
import { once } from 'node:events'
import { type GetOrSetOptions, MySQLAdapter } from 'goscope-mysql'
import { createPool } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

/** What a process is told: to ask for a value, or to let its factory return. */
export type MakerOrder =
  | { readonly key: string; readonly callers: number; readonly options: GetOrSetOptions }
  | { readonly finish: string }

/** What a process says: that it listens, or of a key that all have called, that its factory runs, or what they got. */
export type MakerMessage =
  | { readonly key: string; readonly state: 'ready' | 'called' | 'making' }
  | { readonly key: string; readonly state: 'answered'; readonly answers: readonly string[] }

const pool = createPool({ uri: childArgument<string>(), connectionLimit: 4 })
const { cache } = new MySQLAdapter(pool)
const say = (message: MakerMessage) => process.send?.(message)

async function make(key: string): Promise<string> {
  await pool.execute('insert into run (made, process) values (?, ?)', [key, process.pid])
  say({ key, state: 'making' })
  for (;;) {
    const [order] = (await once(process, 'message')) as [MakerOrder]
    if ('finish' in order) return order.finish
  }
}

process.on('message', async (order: MakerOrder) => {
  if ('finish' in order) return
  const { key, callers, options } = order
  const calls = Array.from({ length: callers }, () => cache.getOrSet(key, () => make(key), options))
  say({ key, state: 'called' })
  say({ key, state: 'answered', answers: await Promise.all(calls) })
})
say({ key: '', state: 'ready' })
