// One of several processes that want the same lock to raise a counter nothing else guards.
import { setTimeout as sleep } from 'node:timers/promises'
import { MySQLAdapter } from 'goscope-mysql'
import { createPool, type RowDataPacket } from 'mysql2/promise'
import { childArgument } from '../support/child-process.js'

const { url, rounds } = childArgument<{ url: string; rounds: number }>()
const pool = createPool({ uri: url, connectionLimit: 2 })
const state = new MySQLAdapter(pool)
await state.connect()
process.send?.('ready')
await new Promise((resolve) => process.once('message', resolve))

for (let done = 0; done < rounds; ) {
  const lock = await state.acquire('counter', 30_000)
  if (lock === null) {
    await sleep(Math.random() * 8)
    continue
  }
  await pool.query('insert into inside (process) values (?)', [process.pid])
  const [holders] = await pool.query<RowDataPacket[]>('select process from inside')
  const [counters] = await pool.query<RowDataPacket[]>('select value from counter')
  await sleep(Math.random() * 3)
  await pool.query('update counter set value = ?', [counters[0]?.value + 1])
  await pool.query('insert into witness (fence, holders) values (?, ?)', [lock.fence, holders.length])
  await pool.query('delete from inside where process = ?', [process.pid])
  await lock.release()
  done++
}
await pool.end()
process.disconnect?.()
