import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { onEveryServer } from '../support/every-server.js'

onEveryServer('the circuit-breaker example', (context) => {
  it('spares the failing service, probes it one call at a time, and finds it recovered', async () => {
    // Fails, with what it printed, when the example exits with anything but 0.
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', 'examples/circuit-breaker/demo.ts'],
      { env: { ...process.env, DATABASE_URL: context.url } },
    )
    expect(stdout).toContain('closed → open')
    expect(stdout).toContain('half-open → closed')
    expect(stdout).toContain('The circuit is closed.')
    const [rows] = await context.admin.query(
      "select state from go_goscope_circuit where `key` = 'example:circuit:service'",
    )
    expect(rows).toEqual([{ state: 'closed' }])
  }, 60_000)
})
