// The doors of the component: what it is, what it answers to REST, and the function that it offers other services.

import { write } from 'ward:host/log@0.1.0';

import { openapi } from './openapi.js';
import { invitation } from './letters.js';
import { json, problem } from './http.js';

export const description = {
  describe: () => ({
    name: 'letters',
    version: '0.1.0',
    documentation: 'letters',
    openapi: JSON.stringify(openapi),
    routes: [{
      operation: 'getLetter',
      method: 'GET',
      path: '/api/letters/{patientId}',
      effect: 'read',
      access: { tag: 'roles', val: ['ADMIN', 'CLINICIAN'] },
      live: false,
    }],
    functions: [{ interface: 'clinic:letters/letters', name: 'invitation', effect: 'read' }],
    subscriptions: [],
    publishes: [],
    migrations: [],
  }),

  // It needs nothing that could be missing.
  probe() {},
};

export const handler = {
  handle({ pathParameters }) {
    const { patientId } = Object.fromEntries(pathParameters);
    try {
      return json(200, invitation(patientId));
    } catch (error) {
      return refusal(error.payload ?? error);
    }
  },
};

// An error of the contract is what a function throws: `{ tag, val }`, as the patients' function threw it.
export const letters = {
  invitation(patientId) {
    try {
      return invitation(patientId);
    } catch (error) {
      throw error.payload ?? error;
    }
  },
};

function refusal({ tag, val }) {
  switch (tag) {
    case 'invalid': return problem(400, 'Bad Request', val);
    case 'not-found': return problem(404, 'Not Found', 'There is no such patient.');
    default:
      write('error', 'the patients could not be asked', [['reason', String(val)]]);
      return problem(503, 'Service Unavailable', 'The patients could not be asked. Try again later.');
  }
}
