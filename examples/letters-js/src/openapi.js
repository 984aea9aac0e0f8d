// The description of the REST interface; it has each route of the component, and no other.

export const openapi = {
  openapi: '3.1.0',
  info: {
    title: 'Letters',
    version: '0.1.0',
  },
  paths: {
    '/api/letters/{patientId}': {
      get: {
        operationId: 'getLetter',
        summary: 'The letter that asks a patient to come',
        parameters: [{
            name: 'patientId',
            in: 'path',
            required: true,
            schema: {
              type: 'string',
              format: 'uuid',
            },
          }],
        responses: {
          '200': {
            description: 'The letter',
            content: {
              'application/json': {
                schema: {
                  type: 'object',
                  required: ['patientId', 'text'],
                  properties: {
                    patientId: {
                      type: 'string',
                      format: 'uuid',
                    },
                    text: {
                      type: 'string',
                    },
                  },
                },
              },
            },
          },
          '400': {
            description: 'Not a UUID',
          },
          '404': {
            description: 'No such patient',
          },
          '503': {
            description: 'The patients could not be asked',
          },
        },
      },
    },
  },
};
